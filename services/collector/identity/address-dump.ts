const netlinkRoute = 0;
const rtmGetAddr = 22;
const rtmNewAddr = 20;
const nlmRequestDump = 0x301;
const ifaAddress = 1;
const ifaLocal = 2;
const afInet = 2;
/** rtnetlink(7): addresses of a wider scope than this mean something outside of their interface. */
const scopeLink = 253;
const headerBytes = 16;
const ifaddrBytes = 8;

/** The netlink request for all addresses of a namespace (RTM_GETADDR, dump). */
export const addressRequest = { protocol: netlinkRoute, bytes: request() };

function request(): Buffer {
  const bytes = Buffer.alloc(headerBytes + ifaddrBytes);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(rtmGetAddr, 4);
  bytes.writeUInt16LE(nlmRequestDump, 6);
  return bytes;
}

/** Addresses in the answers to `addressRequest`: 16 bytes each as hex, IPv4 as ::ffff:a.b.c.d, sorted; loopback and link-local are left out. */
export function parseAddresses(answers: Buffer): string[] {
  const addresses = new Set<string>();
  for (let at = 0; at + headerBytes <= answers.length; ) {
    const length = answers.readUInt32LE(at);
    if (length < headerBytes || at + length > answers.length) break;
    if (answers.readUInt16LE(at + 4) === rtmNewAddr && length >= headerBytes + ifaddrBytes) {
      const address = addressOf(answers.subarray(at + headerBytes, at + length));
      if (address !== undefined) addresses.add(address);
    }
    at += (length + 3) & ~3;
  }
  return [...addresses].sort();
}

function addressOf(message: Buffer): string | undefined {
  if (message[3] >= scopeLink) return undefined;
  let found: Buffer | undefined;
  for (let at = ifaddrBytes; at + 4 <= message.length; ) {
    const length = message.readUInt16LE(at);
    const type = message.readUInt16LE(at + 2);
    if (length < 4 || at + length > message.length) break;
    // On point-to-point links IFA_ADDRESS is the far end.
    if (type === ifaLocal || (type === ifaAddress && found === undefined)) found = message.subarray(at + 4, at + length);
    at += (length + 3) & ~3;
  }
  if (found === undefined) return undefined;
  if (message[0] === afInet) return found.length === 4 ? `00000000000000000000ffff${found.toString('hex')}` : undefined;
  return found.length === 16 ? found.toString('hex') : undefined;
}
