/**
 * Ends this process with status 1, and names what holds it open, where it has not ended by itself within `graceMs`: a thread or child
 * that a test forgot fails the run, and does not hold it up.
 */
export function endIfHeldOpen(graceMs: number): void {
  setTimeout(() => {
    const held = process.getActiveResourcesInfo().join(", ");
    console.error(`The tests are over, and something they left holds the process open: ${held}.`);
    process.exit(1);
  }, graceMs).unref();
}
