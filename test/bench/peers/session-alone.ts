/** What creating a session takes and nothing else: onnxruntime-node on the file as it is. */

import { writeSync } from "node:fs";
import { findGraphFile } from "../../../src/runtime/graph-file.js";
import { createNodeSession } from "../../../src/runtime/node-session.js";
import { loadOnnxRuntime } from "../../../src/runtime/onnxruntime.js";

const { model, threads } = JSON.parse(process.argv[2] ?? "") as { model: string; threads: number };
await loadOnnxRuntime();
const graph = findGraphFile(model, "q4", "cpu");
const start = performance.now();
await createNodeSession(graph, { requested: "cpu", provider: "cpu", reason: "" }, threads);
writeSync(3, `${JSON.stringify({ ms: performance.now() - start })}\n`);
process.exit();
