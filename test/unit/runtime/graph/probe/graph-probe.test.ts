import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { makeNode } from "../../../../../src/runtime/graph/node-attributes.js";
import { type NodeProto, TensorProto_DataType, TensorProtoSchema } from "../../../../../src/runtime/graph/onnx_pb.js";
import { GraphProbe } from "../../../../../src/runtime/graph/probe/graph-probe.js";
import {
  constantTensor,
  type SampleTensor,
  sampleTensor,
} from "../../../../../src/runtime/graph/probe/sample-tensor.js";
import { model, value, weights } from "../../../../support/onnx-graph.js";
import { ids } from "../../../../support/plain-decoder.js";

const list = (...values: number[]) => sampleTensor([values.length], values);
const number = (one: number, integer = true) => sampleTensor([], [one], integer);
const square = sampleTensor([2, 3], [1, 2, 3, 4, 5, 6]);
const column = sampleTensor([2, 1], [10, 20]);

/** What one node makes of `a`, `b`, …: its shape and its numbers. */
function result(
  node: NodeProto,
  ...inputs: readonly SampleTensor[]
): [readonly number[], number[] | undefined] | undefined {
  const { graph } = model({ node: [node] });
  assert.ok(graph);
  const made = GraphProbe.of(graph)
    .given(inputs.map((tensor, at) => ["abcde"[at] as string, tensor] as const))
    .value("y");
  return made && [made.shape, made.data && Array.from(made.data)];
}

const names = (inputs: number) => [..."abcde"].slice(0, inputs);

describe("GraphProbe", () => {
  // By ONNX's operator specification, each worked out by hand.
  const cases: readonly (readonly [string, readonly SampleTensor[], unknown, Parameters<typeof makeNode>[3]?])[] = [
    [
      "Add",
      [square, column],
      [
        [2, 3],
        [11, 12, 13, 24, 25, 26],
      ],
    ],
    ["Sub", [list(5, 7), number(2)], [[2], [3, 5]]],
    ["ReduceSum", [square, list(1)], [[2], [6, 15]], { keepdims: 0n }],
    [
      "ReduceSum",
      [square],
      [
        [1, 3],
        [5, 7, 9],
      ],
      { axes: [-2n] },
    ],
    ["ReduceSum", [square], [[1, 1], [21]]],
    ["Div", [list(7, -7), number(2)], [[2], [3, -3]]],
    ["Div", [number(7, false), number(2, false)], [[], [3.5]]],
    ["Cast", [sampleTensor([2], [1.7, -1.7], false)], [[2], [1, -1]], { to: 7n }],
    ["Cast", [list(0, 3)], [[2], [0, 1]], { to: 9n }],
    ["Sqrt", [number(2)], [[], [Math.SQRT2]]],
    ["LessOrEqual", [list(1, 2, 3), number(2)], [[3], [1, 1, 0]]],
    ["And", [list(1, 1, 0), list(1, 0, 0)], [[3], [1, 0, 0]]],
    ["Not", [list(1, 0)], [[2], [0, 1]]],
    ["Where", [list(1, 0), number(8), list(3, 4)], [[2], [8, 4]]],
    ["Shape", [square], [[2], [2, 3]]],
    ["Shape", [square], [[1], [3]], { start: 1n }],
    ["Range", [number(2), number(5), number(1)], [[3], [2, 3, 4]]],
    [
      "Gather",
      [square, list(-1, 0)],
      [
        [2, 2],
        [3, 1, 6, 4],
      ],
      { axis: 1n },
    ],
    ["Gather", [square, number(1)], [[3], [4, 5, 6]]],
    ["Gather", [square, number(2)], undefined],
    [
      "Unsqueeze",
      [list(1, 2), list(0, -1)],
      [
        [1, 2, 1],
        [1, 2],
      ],
    ],
    [
      "Unsqueeze",
      [list(1, 2)],
      [
        [1, 2],
        [1, 2],
      ],
      { axes: [0n] },
    ],
    ["Squeeze", [column, list(-1)], [[2], [10, 20]]],
    ["Squeeze", [column], [[2], [10, 20]]],
    [
      "Reshape",
      [square, list(3, -1)],
      [
        [3, 2],
        [1, 2, 3, 4, 5, 6],
      ],
    ],
    [
      "Reshape",
      [square, list(0, 3, 1)],
      [
        [2, 3, 1],
        [1, 2, 3, 4, 5, 6],
      ],
    ],
    ["Reshape", [square, list(4)], undefined],
    [
      "Flatten",
      [sampleTensor([2, 1, 2], [1, 2, 3, 4])],
      [
        [2, 2],
        [1, 2, 3, 4],
      ],
      { axis: 2n },
    ],
    [
      "Expand",
      [column, list(2, 2)],
      [
        [2, 2],
        [10, 10, 20, 20],
      ],
    ],
    ["Expand", [column, list(3, 1)], undefined],
    [
      "Transpose",
      [square],
      [
        [3, 2],
        [1, 4, 2, 5, 3, 6],
      ],
      { perm: [1n, 0n] },
    ],
    [
      "Slice",
      [square, list(1), list(2 ** 62), list(1)],
      [
        [2, 2],
        [2, 3, 5, 6],
      ],
    ],
    [
      "Slice",
      [square, list(-1), list(2), list(0)],
      [
        [1, 3],
        [4, 5, 6],
      ],
    ],
    ["Slice", [square, list(2), list(0), list(1), list(-1)], undefined],
    [
      "Concat",
      [square, column],
      [
        [2, 4],
        [1, 2, 3, 10, 4, 5, 6, 20],
      ],
      { axis: -1n },
    ],
    [
      "Trilu",
      [square, number(1)],
      [
        [2, 3],
        [0, 2, 3, 0, 0, 6],
      ],
    ],
    [
      "Trilu",
      [square],
      [
        [2, 3],
        [1, 0, 0, 4, 5, 0],
      ],
      { upper: 0n },
    ],
    [
      "ScatterND",
      [square, sampleTensor([1, 1], [1]), sampleTensor([1, 3], [7, 8, 9])],
      [
        [2, 3],
        [1, 2, 3, 7, 8, 9],
      ],
    ],
    ["ConstantOfShape", [list(2)], [[2], [0, 0]]],
    ["Max", [list(1, 5), number(3)], [[2], [3, 5]]],
    ["Einsum", [square], undefined],
  ];
  for (const [operator, inputs, expected, attributes] of cases) {
    const shapes = inputs.map(({ shape }) => `[${shape.join(", ")}]`).join(", ");
    it(`computes ${operator} of ${shapes}${attributes === undefined ? "" : " with an attribute"}`, () => {
      assert.deepEqual(result(makeNode(operator, names(inputs.length), ["y"], attributes), ...inputs), expected);
    });
  }

  for (const [name, bits, values] of [
    ["FLOAT16", [0x3c00, 0xfbff], [1, -65504]],
    // The least bfloat16 is what masks of such graphs take away.
    ["BFLOAT16", [0x3f80, 0xff7f], [1, -(2 - 2 ** -7) * 2 ** 127]],
  ] as const) {
    it(`reads constants of ${name}`, () => {
      const rawData = new Uint8Array(Uint16Array.from(bits).buffer);
      const { data } = constantTensor(
        create(TensorProtoSchema, { dataType: TensorProto_DataType[name], dims: [2n], rawData }),
      );
      assert.deepEqual(Array.from(data ?? []), values);
    });
  }

  it("goes on with a shape where there are no numbers", () => {
    const unknown = sampleTensor([2, 3], undefined, false);
    assert.deepEqual(result(makeNode("Mul", ["a", "b"], ["y"]), unknown, column), [[2, 3], undefined]);
    assert.deepEqual(result(makeNode("Shape", ["a"], ["y"]), unknown), [[2], [2, 3]]);
    assert.deepEqual(result(makeNode("Gather", ["a", "b"], ["y"]), square, sampleTensor([4], undefined)), [
      [4, 3],
      undefined,
    ]);
  });

  const graph = () => {
    const node = [
      makeNode("Add", ["input", "two"], ["sum"]),
      makeNode("MatMul", ["sum", "weight"], ["product"]),
      makeNode("Shape", ["product"], ["shape"]),
    ];
    const made = model({ node, initializer: [ids("two", [2]), weights("weight", 4)], input: [value("input")] }).graph;
    assert.ok(made);
    return made;
  };

  it("knows nothing of inputs that were not given, nor of what comes of them", () => {
    assert.equal(GraphProbe.of(graph()).value("sum"), undefined);
    assert.deepEqual(Array.from(GraphProbe.of(graph()).value("two")?.data ?? []), [2]);
  });

  it("takes given values for what it cannot compute", () => {
    const probe = GraphProbe.of(graph()).given([["input", list(1)]]);
    assert.equal(probe.value("shape"), undefined);
    const more = probe.given([["product", sampleTensor([7], undefined, false)]]);
    assert.deepEqual(Array.from(more.value("shape")?.data ?? []), [7]);
    assert.deepEqual(Array.from(more.value("sum")?.data ?? []), [3]);
  });

  it("ends on a loop, which a broken file can have", () => {
    const node = [makeNode("Neg", ["b"], ["a"]), makeNode("Neg", ["a"], ["b"])];
    const made = model({ node }).graph;
    assert.ok(made);
    assert.equal(GraphProbe.of(made).value("a"), undefined);
  });
});
