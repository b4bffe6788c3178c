/** `vitrine serve` for a benchmark that started it, and that it does not outlive: a benchmark that is killed can end nothing itself. */
process.once("disconnect", () => process.exit(1));
// The channel alone keeps no server running.
process.channel?.unref();

await import("./main.js");
