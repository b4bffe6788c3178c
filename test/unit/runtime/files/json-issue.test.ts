import assert from "node:assert/strict";
import { z } from "zod";
import { describeIssue } from "../../../../src/runtime/files/json-issue.js";

const schema = z.looseObject({
  count: z.int().positive().nullish(),
  share: z.number().min(0).max(1).nullish(),
  ids: z.union([z.int(), z.array(z.int())]).nullish(),
  token: z.union([z.string(), z.looseObject({ content: z.string() })]).nullish(),
  flag: z.boolean().nullish(),
  model: z.looseObject({ type: z.string().optional() }),
});

const CASES: readonly [unknown, string][] = [
  [{ model: {}, count: "zebra" }, "count must be a number, not text"],
  [{ model: {}, count: 2.5 }, "count must be a whole number, not 2.5"],
  [{ model: {}, count: -5 }, "count must be above 0, not -5"],
  [{ model: {}, share: 1.5 }, "share must be 1 or less, not 1.5"],
  [{ model: {}, share: -1 }, "share must be 0 or more, not -1"],
  [{ model: {}, flag: "yes" }, "flag must be true or false, not text"],
  [{ model: {}, ids: {} }, "ids must be a number or a list, not an object"],
  [{ model: {}, ids: [1, "zebra"] }, "ids.1 must be a number, not text"],
  [{ model: {}, token: 5 }, "token must be text or an object, not 5"],
  [{ model: {}, token: { text: "zebra" } }, "token.content must be text, not missing"],
  [{ model: [] }, "model must be an object, not a list"],
  [{ model: null }, "model must be an object, not null"],
  [{}, "model must be an object, not missing"],
  [["zebra"], " must be an object, not a list"],
];

describe("describeIssue", () => {
  for (const [json, expected] of CASES) {
    it(`says of ${JSON.stringify(json)}: ${expected}`, () => {
      const issue = schema.safeParse(json).error?.issues[0];
      assert.ok(issue);
      const { field, wanted, found } = describeIssue(issue, json);
      assert.equal(`${field} must be ${wanted}, not ${found}`, expected);
    });
  }
});
