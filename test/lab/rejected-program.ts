const sectionHeaderBytes = 64;
const symbolBytes = 24;
/** include/uapi/linux/elf.h */
const symbolTable = 2;
const functionSymbol = 2;
/** BPF_JMP | BPF_EXIT: what returns before it has set r0 is rejected. */
const exitInstruction = Buffer.from([0x95, 0, 0, 0, 0, 0, 0, 0]);

/** A copy of a BPF object (ELF64, little-endian) in which the kernel's verifier rejects one program. */
export function withRejectedProgram(object: Uint8Array, program: string): Buffer {
  const bytes = Buffer.from(object);
  const sections = Number(bytes.readBigUInt64LE(0x28));
  const headerOf = (index: number): number => sections + index * sectionHeaderBytes;
  const startOf = (index: number): number => Number(bytes.readBigUInt64LE(headerOf(index) + 24));
  for (let index = 0; index < bytes.readUInt16LE(0x3c); index++) {
    const header = headerOf(index);
    if (bytes.readUInt32LE(header + 4) !== symbolTable) continue;
    const names = startOf(bytes.readUInt32LE(header + 40));
    const end = startOf(index) + Number(bytes.readBigUInt64LE(header + 32));
    for (let symbol = startOf(index); symbol < end; symbol += symbolBytes) {
      const name = names + bytes.readUInt32LE(symbol);
      if ((bytes[symbol + 4] & 0xf) !== functionSymbol || bytes.toString('latin1', name, bytes.indexOf(0, name)) !== program) continue;
      exitInstruction.copy(bytes, startOf(bytes.readUInt16LE(symbol + 6)) + Number(bytes.readBigUInt64LE(symbol + 8)));
      return bytes;
    }
  }
  throw new Error(`the object has no program ${program}`);
}
