/** Messages that nobody can decode, for any topic; `good`: a message of the topic, where it has one. */
export function poisons(good: Uint8Array | undefined): [name: string, value: Uint8Array][] {
  const random = Uint8Array.from({ length: 300 }, (_, index) => (index * 193 + 7) & 255);
  // Field 31 with wire type 7, which there is not; then anything.
  random[0] = 0xff;
  return [
    ['random bytes', random],
    ['text', Buffer.from('{"this":"is json"}\n')],
    ['huge', new Uint8Array(7 * 1024 * 1024).fill(0xff)],
    ['empty', new Uint8Array(0)],
    ...(good === undefined ? [] : ([['cut off', good.subarray(0, good.length - 3)]] satisfies [string, Uint8Array][])),
  ];
}
