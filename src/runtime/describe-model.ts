import type { ModelDescription } from "../protocol.js";
import { contradictions } from "./files/contradictions.js";
import type { ModelConfig } from "./files/model-config.js";
import type { ModelDirectory } from "./files/model-directory.js";
import { FLOAT_BYTES } from "./floats/floats.js";
import type { PreparedGraph } from "./graph/prepare-graph.js";
import type { GraphSignature } from "./signature/graph-signature.js";

/** Where the graph has no rotary factors for longer sequences, those up to the switch are all it is right for. */
function contextLength({ contextLength, ropeSwitch }: ModelConfig, { rotaryPositions }: GraphSignature): number {
  return rotaryPositions === undefined ? Math.min(contextLength, ropeSwitch ?? contextLength) : contextLength;
}

/** What any runner reports of the model it loaded. Heads and width are the first layer's. */
export function describeModel(
  directory: ModelDirectory,
  graph: PreparedGraph,
  signature: GraphSignature,
): ModelDescription {
  const warnings = contradictions(directory.config, signature);
  const elementBytes = FLOAT_BYTES[signature.cacheType];
  const elements = signature.cache.map(({ heads, headDim }) => heads * headDim);
  return {
    name: directory.name,
    dtype: graph.dtype,
    vocabSize: signature.vocabSize,
    contextLength: contextLength(directory.config, signature),
    layers: signature.layers,
    kvHeads: signature.cache[0]?.heads ?? 0,
    headDim: signature.cache[0]?.headDim ?? 0,
    kvBytesPerToken: elements.reduce((sum, each) => sum + each, 0) * elementBytes,
    kvTensorBytesPerToken: Math.max(...elements) * elementBytes,
    weightBytes: graph.weightBytes,
    rewrites: graph.notes,
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}
