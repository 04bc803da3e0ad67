/** The first bytes of an output as text; the rest is read and forgotten, so that its writer never stalls. */
export async function collectText(output: AsyncIterable<Uint8Array>, bytesMax: number): Promise<string> {
  const kept: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of output) {
    if (bytes < bytesMax) kept.push(chunk.subarray(0, bytesMax - bytes));
    bytes += chunk.length;
  }
  return Buffer.concat(kept).toString();
}
