// onnxruntime-node alone.
const { join } = require("node:path");
const { InferenceSession, Tensor } = require("onnxruntime-node");

async function main() {
  const session = await InferenceSession.create(join(process.argv[2], "tiny", "onnx", "model.onnx"));
  const feeds = {};
  for (const { name, type, shape } of session.inputMetadata) {
    // One token and no past: every dimension that is not fixed is 1, that of the past 0.
    const dims = shape.map((size, axis) =>
      typeof size === "number" ? size : name.startsWith("past") && axis === 2 ? 0 : 1,
    );
    const length = dims.reduce((product, size) => product * size, 1);
    feeds[name] = new Tensor(
      type,
      type === "int64" ? new BigInt64Array(length).fill(1n) : new Float32Array(length),
      dims,
    );
  }
  const { logits } = await session.run(feeds);
  console.log(logits.dims.join());
}

main();
