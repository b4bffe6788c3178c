import { equals } from "@bufbuild/protobuf";
import type { GraphIndex } from "../graph-index.js";
import { AttributeProtoSchema } from "../onnx_pb.js";

/**
 * Whether two values are made in the same way of the same values, or of two that `isSame` calls the same: what layers
 * repeat, each for itself. Then they are equal in every run.
 */
export function areAlike(
  one: string,
  other: string,
  index: GraphIndex,
  isSame: (one: string, other: string) => boolean,
): boolean {
  if (one === other || isSame(one, other)) return true;
  const [a, b] = [index.producer(one), index.producer(other)];
  if (a === undefined || b === undefined || a.opType !== b.opType || a.domain !== b.domain) return false;
  if (a.output.indexOf(one) !== b.output.indexOf(other) || a.input.length !== b.input.length) return false;
  if (a.attribute.length !== b.attribute.length) return false;
  return (
    a.attribute.every((attribute, at) => {
      const match = b.attribute[at];
      return match !== undefined && equals(AttributeProtoSchema, attribute, match);
    }) && a.input.every((input, at) => areAlike(input, b.input[at] ?? "", index, isSame))
  );
}
