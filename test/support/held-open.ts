/**
 * Ends this process and names what holds it open, where it has not ended by itself within `graceMs`: a thread or child that a
 * test forgot does not hold up the run. Its status is mocha's, who has the last word on it.
 */
export function endIfHeldOpen(graceMs: number): void {
  setTimeout(() => {
    const held = process.getActiveResourcesInfo().join(", ");
    console.error(`The tests are over, and something they left holds the process open: ${held}.`);
    process.exit();
  }, graceMs).unref();
}
