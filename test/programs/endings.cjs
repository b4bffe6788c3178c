// Makes one span, then ends in the way that its argument names.
const { trace } = require("@opentelemetry/api");

const span = (name = "work") => trace.getTracer("program").startSpan(name).end();
/** Long enough for whoever is to end it. */
const wait = () => setTimeout(() => {}, 20_000);
const ready = () => console.log("ready");

const endings = {
  "runs out": () => {},
  "process.exit": () => process.exit(3),
  "exit code": () => {
    process.exitCode = 4;
  },
  throws: () => {
    throw new Error("nobody catches this");
  },
  rejects: () => void Promise.reject(new Error("nobody catches this either")),
  "by signal": () => {
    wait();
    ready();
  },
  "handles signal": () => {
    wait();
    process.on("SIGTERM", () => {
      span("goodbye");
      process.exit(5);
    });
    ready();
  },
  // What the package signal-exit does: it acts where nobody else listens.
  guarded: () => {
    wait();
    process.__signal_exit_emitter__ = { count: 1 };
    const guard = () => {
      if (process.listeners("SIGTERM").length !== 1) return;
      console.log("cleaned up");
      process.removeListener("SIGTERM", guard);
      process.kill(process.pid, "SIGTERM");
    };
    process.on("SIGTERM", guard);
    ready();
  },
};

span();
endings[process.argv[2]]();
