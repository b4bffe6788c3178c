import type { TensorProto_DataType } from "../onnx_pb.js";
import type { PlainAttention, Scores } from "./plain-attention.js";

/** One layer's attention, but for what its masks let through. */
export interface ScoredAttention extends PlainAttention, Scores {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly cacheType: TensorProto_DataType;
}

/** One layer's attention as GroupQueryAttention takes it. */
export interface FusedAttention extends ScoredAttention {
  /** Positions that are seen, the own one among them; undefined where all are. */
  readonly window: number | undefined;
}
