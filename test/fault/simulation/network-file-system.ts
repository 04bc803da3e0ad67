/** Takes the place of store/network-file-system.ts: the simulated disk is a local one. */
export function networkFileSystemAt(): null {
  return null;
}
