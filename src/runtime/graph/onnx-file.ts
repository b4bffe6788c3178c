import { closeSync, existsSync, fstatSync, openSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { create } from "@bufbuild/protobuf";
import { VitrineError } from "../../errors.js";
import { FileFields, type Range } from "./file-fields.js";
import {
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
} from "./onnx_pb.js";

/** A graph, parsed. */
export interface OnnxFile {
  readonly model: ModelProto;
  /** What the locations of external data are relative to. */
  readonly folder: string;
  /** Bytes of weights that stand in the graph's own file and were left there, as external data. */
  readonly mappedBytes: number;
  /** The locations of its external data are not those in the file, which is not to be loaded as it is. */
  readonly relocated: boolean;
}

/** Smaller weights are not worth a mapping. */
const MAPPED_FROM_BYTES = 1 << 16;

/**
 * Reads an ONNX graph without its weights: large ones inside the file become external data of that same file, which
 * ONNX Runtime maps into memory where it would copy it twice. So this takes milliseconds for a file of any size.
 * Throws VitrineError `model_invalid`.
 */
export function readOnnxFile(path: string, mappedFrom = MAPPED_FROM_BYTES): OnnxFile {
  const file = openSync(path, "r");
  try {
    const reader = new ModelReader(new FileFields(file), mappedFrom);
    const model = reader.read({ start: 0, end: fstatSync(file).size });
    const { own, relocated } = resolveLinks(path, model);
    for (const { tensor, range } of reader.left) makeExternal(tensor, range, basename(own));
    const mappedBytes = reader.left.reduce((sum, { range }) => sum + range.end - range.start, 0);
    return { model, folder: dirname(own), mappedBytes, relocated };
  } catch (cause) {
    const message = `${path} cannot be loaded; it may be truncated or damaged: download it again.`;
    throw new VitrineError("model_invalid", message, { cause });
  } finally {
    closeSync(file);
  }
}

interface LeftInFile {
  readonly tensor: TensorProto;
  readonly range: Range;
}

const { graph: GRAPH } = ModelProtoSchema.field;
const { initializer: INITIALIZER } = GraphProtoSchema.field;
const { rawData: RAW_DATA } = TensorProtoSchema.field;

class ModelReader {
  /** Weights that were not read. */
  readonly left: LeftInFile[] = [];

  constructor(
    private readonly fields: FileFields,
    private readonly mappedFrom: number,
  ) {}

  read(range: Range): ModelProto {
    const model = create(ModelProtoSchema);
    const graph = create(GraphProtoSchema);
    this.fields.merge(ModelProtoSchema, model, range, ({ number, value }) => {
      if (number !== GRAPH.number) return false;
      this.#readGraph(graph, value);
      model.graph = graph;
      return true;
    });
    if (model.graph === undefined) throw new Error("it holds no graph");
    return model;
  }

  #readGraph(graph: GraphProto, range: Range): void {
    this.fields.merge(GraphProtoSchema, graph, range, ({ number, value }) => {
      if (number !== INITIALIZER.number || value.end - value.start < this.mappedFrom) return false;
      graph.initializer.push(this.#readTensor(value));
      return true;
    });
  }

  #readTensor(range: Range): TensorProto {
    const tensor = create(TensorProtoSchema);
    this.fields.merge(TensorProtoSchema, tensor, range, ({ number, value }) => {
      if (number !== RAW_DATA.number || value.end - value.start < this.mappedFrom) return false;
      this.left.push({ tensor, range: value });
      return true;
    });
    return tensor;
  }
}

/**
 * The path by which the graph's own file can be external data. ONNX Runtime refuses what is outside the folder, so links
 * (the hub's cache is made of them) are resolved, those of weights beside the graph too, unless they lead apart.
 */
function resolveLinks(path: string, model: ModelProto): { readonly own: string; readonly relocated: boolean } {
  const own = realpathSync(path);
  const locations = (model.graph?.initializer ?? []).flatMap(({ externalData }) =>
    externalData.filter(({ key }) => key === "location"),
  );
  const real = new Map(locations.map(({ value }) => [value, ""]));
  for (const location of real.keys()) {
    const file = join(dirname(path), location);
    const target = existsSync(file) ? realpathSync(file) : "";
    if (dirname(target) !== dirname(own)) return { own: resolve(path), relocated: false };
    real.set(location, basename(target));
  }
  for (const entry of locations) entry.value = real.get(entry.value) ?? entry.value;
  return { own, relocated: locations.length > 0 && own !== resolve(path) };
}

function makeExternal(tensor: TensorProto, { start, end }: Range, location: string): void {
  const entries = { location, offset: String(start), length: String(end - start) };
  tensor.externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  );
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL;
}
