/** What creating a session takes and nothing else: onnxruntime-node on the file as it is. */
import { writeSync } from "node:fs";
import { findGraphFile } from "../../../src/runtime/files/graph-file.js";
import { loadOnnxRuntime } from "../../../src/runtime/node/onnxruntime.js";
import type { PeerSettings } from "./peer.js";

const { model, threads } = JSON.parse(process.argv[2] ?? "") as PeerSettings;
const { InferenceSession } = await loadOnnxRuntime();
const { path } = findGraphFile(model, "q4", "cpu");
const start = performance.now();
await InferenceSession.create(path, { intraOpNumThreads: threads });
writeSync(3, `${JSON.stringify({ ms: performance.now() - start })}\n`);
process.exit();
