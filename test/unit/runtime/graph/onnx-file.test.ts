import assert from "node:assert/strict";
import { mkdirSync, readFileSync, realpathSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { createRegistry, equals, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema, type TensorProto } from "../../../../src/runtime/graph/onnx_pb.js";
import { readOnnxFile } from "../../../../src/runtime/graph/onnx-file.js";
import { temporaryFolders, writeFiles } from "../../../support/model-fixture.js";
import { buildDecoder, message } from "../../../support/onnx-builder.js";

const folder = temporaryFolders();
const NOTHING_MAPPED = Number.POSITIVE_INFINITY;

function file(content: Uint8Array): string {
  return join(writeFiles(folder(), { "model.onnx": content }), "model.onnx");
}

function tensor({ graph }: ModelProto, name: string): TensorProto {
  const found = graph?.initializer.find((initializer) => initializer.name === name);
  assert.ok(found);
  return found;
}

const entries = ({ externalData }: TensorProto) =>
  Object.fromEntries(externalData.map(({ key, value }) => [key, value]));

/** Where a byte sequence starts; it must be there. */
function positionOf(content: Uint8Array, part: Uint8Array): number {
  const position = Buffer.from(content).indexOf(part);
  assert.ok(position >= 0);
  return position;
}

/** Links in the folder `snapshot`, as in the hub's cache; the path of its model.onnx. */
function linked(root: string, links: Readonly<Record<string, string>>): string {
  const snapshot = join(root, "snapshot");
  mkdirSync(snapshot, { recursive: true });
  for (const [name, target] of Object.entries(links)) symlinkSync(join(root, target), join(snapshot, name));
  return join(snapshot, "model.onnx");
}

describe("readOnnxFile", () => {
  it("reads what the library reads from the whole file", () => {
    const { graph } = buildDecoder();
    const { model, mappedBytes } = readOnnxFile(file(graph), NOTHING_MAPPED);
    assert.equal(mappedBytes, 0);
    assert.ok(equals(ModelProtoSchema, model, fromBinary(ModelProtoSchema, graph)));
    assert.deepEqual(model.graph?.node[0]?.input, ["embed", "input_ids"]);
  });

  it("leaves large weights in the file, as external data at their place in it", () => {
    const { graph } = buildDecoder({ vocab: 4096 });
    const path = file(graph);
    const { model, folder: where, mappedBytes } = readOnnxFile(path);
    const whole = fromBinary(ModelProtoSchema, graph);
    const size = 4096 * 16 * 4;
    assert.equal(mappedBytes, 2 * size);
    for (const name of ["embed", "w_head"]) {
      const { rawData } = tensor(whole, name);
      const left = tensor(model, name);
      assert.equal(left.rawData.length, 0);
      assert.deepEqual(left.dims, tensor(whole, name).dims);
      assert.equal(left.dataLocation, 1);
      const offset = positionOf(graph, rawData);
      assert.deepEqual(entries(left), { location: "model.onnx", offset: String(offset), length: String(size) });
      assert.ok(
        readFileSync(join(where, "model.onnx"))
          .subarray(offset, offset + size)
          .equals(rawData),
      );
    }
    // Not worth it.
    assert.ok(equals(ModelProtoSchema, { ...whole, graph: undefined }, { ...model, graph: undefined }));
    assert.ok(Buffer.from(tensor(model, "wq0").rawData).equals(tensor(whole, "wq0").rawData));
  });

  it("keeps what the schema does not list", () => {
    const unknown = [200, "kept along"] as const;
    const external = message([1, "location"], [2, "other.bin"], unknown);
    const weights = message([1, 2], [2, 1], [8, "w"], [12, "doc"], [13, external], [14, 1], unknown);
    const attribute = message([1, "a"], [9, "text"], [13, "doc"], [20, 8], unknown);
    const node = message([1, "x"], [2, "y"], [4, "Op"], [5, attribute], [6, "doc"], [8, "overload"], unknown);
    const sequence = message([4, message([1, message([1, message([1, 7])])])], [6, "denotation"]);
    const input = message([1, "x"], [2, sequence], [3, "doc"], unknown);
    const graph = message(
      [1, node],
      [2, "name"],
      [5, weights],
      [10, "doc"],
      [11, input],
      [13, input],
      [15, "s"],
      unknown,
    );
    const content = message([1, 8], [2, "producer"], [5, 3], [7, graph], [8, message([2, 17])], [14, "m"], [25, "f"]);
    const { model } = readOnnxFile(file(content), 4);
    const written = toBinary(ModelProtoSchema, model);
    // Fields may change places, so the bytes differ; what there is does not.
    assert.equal(written.length, content.length);
    assert.deepEqual(Buffer.from(written).sort(), Buffer.from(content).sort());
    const again = fromBinary(ModelProtoSchema, written);
    assert.ok(equals(ModelProtoSchema, again, model, { registry: createRegistry(), unknown: true }));
    assert.ok(again.graph?.node[0]?.attribute[0]?.$unknown?.some(({ no }) => no === 200));
  });

  it("resolves a link", () => {
    const { graph } = buildDecoder({ vocab: 4096 });
    const root = realpathSync(writeFiles(folder(), { "blobs/0a1b": graph }));
    const read = readOnnxFile(linked(root, { "model.onnx": "blobs/0a1b" }));
    assert.deepEqual([read.folder, read.relocated], [join(root, "blobs"), false]);
    for (const name of ["w_head", "embed"]) assert.equal(entries(tensor(read.model, name)).location, "0a1b");
  });

  it("resolves the links of weights beside it with its own, so that they are one folder's", () => {
    const { graph, external } = buildDecoder({ vocab: 4096, externalData: "weights.bin" });
    const root = realpathSync(writeFiles(folder(), { "blobs/0a1b": graph, "blobs/2c3d": external }));
    const read = readOnnxFile(linked(root, { "model.onnx": "blobs/0a1b", "weights.bin": "blobs/2c3d" }));
    assert.deepEqual([read.folder, read.relocated], [join(root, "blobs"), true]);
    assert.equal(entries(tensor(read.model, "w_head")).location, "0a1b");
    assert.equal(entries(tensor(read.model, "embed")).location, "2c3d");
  });

  it("leaves links that lead apart or nowhere, and files that are none", () => {
    const { graph, external } = buildDecoder({ vocab: 4096, externalData: "weights.bin" });
    for (const weights of ["other/2c3d", "blobs/missing", undefined]) {
      const files = { "blobs/0a1b": graph, "other/2c3d": external };
      const root = realpathSync(
        writeFiles(folder(), { ...files, ...(weights ? {} : { "snapshot/weights.bin": external }) }),
      );
      const links = { "model.onnx": "blobs/0a1b", ...(weights === undefined ? {} : { "weights.bin": weights }) };
      const read = readOnnxFile(linked(root, links));
      assert.deepEqual([read.folder, read.relocated], [join(root, "snapshot"), false]);
      assert.equal(entries(tensor(read.model, "embed")).location, "weights.bin");
    }
    const plain = writeFiles(folder(), { "model.onnx": graph, "weights.bin": external });
    assert.equal(readOnnxFile(join(plain, "model.onnx")).relocated, false);
  });

  const { graph } = buildDecoder();
  const broken: [string, Uint8Array][] = [
    ["bytes of 255", new Uint8Array(200).fill(0xff)],
    ["a file cut short", graph.subarray(0, graph.length - 10)],
    ["a file cut in half", graph.subarray(0, graph.length / 2)],
    ["text", Buffer.from("text\n")],
    ["no graph", message([1, 8], [2, "producer"])],
    ["a group that never ends", Uint8Array.of(0x0b, 0x08, 0x01)],
    ["a length beyond the file", Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f)],
  ];
  for (const [what, content] of broken) {
    it(`refuses ${what}, naming the file`, () => {
      assert.throws(() => readOnnxFile(file(content)), {
        code: "model_invalid",
        message: /model\.onnx cannot be loaded; it may be truncated/,
      });
    });
  }
});
