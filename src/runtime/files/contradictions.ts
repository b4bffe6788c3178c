import type { GraphSignature } from "../signature/graph-signature.js";
import type { ModelConfig } from "./model-config.js";

/**
 * Where config.json gives other sizes than the graph, a sentence each. The graph's are used, so that such a model runs;
 * but files of two models may have been mixed, and then what it writes makes no sense.
 */
export function contradictions(
  config: Pick<ModelConfig, "layers" | "kvHeads" | "headDim" | "vocabSize">,
  { layers, vocabSize, cache }: Pick<GraphSignature, "layers" | "vocabSize" | "cache">,
): string[] {
  // In old layouts heads and their size are one dimension, and the layers of some models differ.
  const [first] = cache;
  const plain = cache.every(
    ({ empty, heads, headDim }) => empty.length === 4 && heads === first?.heads && headDim === first.headDim,
  );
  const sizes: readonly (readonly [string, number | undefined, number | undefined])[] = [
    ["num_hidden_layers", config.layers, layers],
    ["num_key_value_heads", config.kvHeads, plain ? first?.heads : undefined],
    ["head_dim", config.headDim, plain ? first?.headDim : undefined],
    ["vocab_size", config.vocabSize, vocabSize],
  ];
  return sizes.flatMap(([name, said, found]) =>
    said === undefined || found === undefined || said === found
      ? []
      : [
          `config.json makes ${name} ${said}, the graph has ${found}, which is used. If the files come from two models, download them again together.`,
        ],
  );
}
