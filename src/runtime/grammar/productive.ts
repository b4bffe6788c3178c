import type { Expr, Rule } from "./expression.js";

/** Whether some string of the rule ends: not so where it always holds itself. */
export function productive(rule: Rule): boolean {
  const proven = new Set<Rule>();
  const rules = rulesBelow(rule);
  for (let grew = true; grew; ) {
    grew = false;
    for (const other of rules) {
      if (proven.has(other) || other.body === undefined || !ends(other.body, proven)) continue;
      proven.add(other);
      grew = true;
    }
  }
  return proven.has(rule);
}

function ends({ node, nullable }: Expr, proven: ReadonlySet<Rule>): boolean {
  if (nullable) return true;
  switch (node.kind) {
    case "never":
      return false;
    case "seq":
      return ends(node.head, proven) && ends(node.tail, proven);
    case "alt":
      return node.branches.some((branch) => ends(branch, proven));
    case "repeat":
      return ends(node.inner, proven);
    case "rule":
      return proven.has(node.rule);
    // Intersections are of strings and numbers, and were looked at when they were made.
    default:
      return true;
  }
}

function rulesBelow(start: Rule): ReadonlySet<Rule> {
  const rules = new Set<Rule>([start]);
  const seen = new Set<Expr>();
  const open = start.body === undefined ? [] : [start.body];
  for (let expr = open.pop(); expr !== undefined; expr = open.pop()) {
    if (seen.has(expr)) continue;
    seen.add(expr);
    const { node } = expr;
    if (node.kind === "seq") open.push(node.head, node.tail);
    else if (node.kind === "alt") open.push(...node.branches);
    else if (node.kind === "repeat") open.push(node.inner);
    else if (node.kind === "rule") {
      rules.add(node.rule);
      if (node.rule.body !== undefined) open.push(node.rule.body);
    }
  }
  return rules;
}
