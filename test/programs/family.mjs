// Makes a span here, in a worker thread, in a forked process and in a cluster's worker.
import { fork } from "node:child_process";
import cluster from "node:cluster";
import { fileURLToPath } from "node:url";
import { isMainThread, Worker } from "node:worker_threads";
import { trace } from "@opentelemetry/api";

const me = fileURLToPath(import.meta.url);
const ended = (child) => new Promise((resolve) => child.once("exit", resolve));
const span = (name) => trace.getTracer("program").startSpan(name).end();

if (!isMainThread) span("thread");
else if (process.argv[2] === "child") span("child");
else if (cluster.isWorker) {
  span("cluster");
  cluster.worker.disconnect();
} else {
  span("main");
  cluster.setupPrimary({ exec: me });
  await Promise.all([ended(new Worker(new URL(import.meta.url))), ended(fork(me, ["child"])), ended(cluster.fork())]);
}
