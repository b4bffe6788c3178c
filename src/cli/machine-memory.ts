import { totalmem } from "node:os";

/** Bytes of memory this process may use: the container's limit where there is one, else the machine's. */
export function machineMemory(): number {
  const limit = process.constrainedMemory();
  // Without a limit control groups report 0, or more than there is.
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}
