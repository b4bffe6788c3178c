import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createContext, Script } from "node:vm";
import { escapeHtml, PAGE_POLICY, renderPage } from "../../../../src/server/routes/page.js";

const scriptOf = (page: string): string | undefined => /<script>(.*)<\/script>/s.exec(page)?.[1];

/** As much of the browser's tree as the page's script uses. */
class FakeNode {
  className = "";
  textContent = "";
  id = "";
  open = false;
  title = "";
  readonly style = {};
  focused = false;
  children: FakeNode[] = [];

  constructor(readonly tag: string) {}

  append(...nodes: FakeNode[]): void {
    this.children.push(...nodes);
  }

  replaceChildren(...nodes: FakeNode[]): void {
    this.children = nodes;
  }

  get all(): FakeNode[] {
    return this.children.flatMap((child) => [child, ...child.all]);
  }

  querySelectorAll(selector: string): FakeNode[] {
    return this.all.filter(({ tag, open }) => selector === tag || (selector === `${tag}[open]` && open));
  }

  querySelector(selector: string): FakeNode | null {
    return this.querySelectorAll(selector)[0] ?? null;
  }

  closest(): FakeNode | null {
    return this.tag === "details" ? this : null;
  }

  focus(): void {
    this.focused = true;
  }

  get text(): string {
    return [this, ...this.all].map(({ textContent }) => textContent).join("|");
  }
}

/** Runs the page's script; `show` makes it see those traces of requests and of starts. */
function openPage(): {
  readonly list: FakeNode;
  focus(node: FakeNode): void;
  show(requests: unknown, loads?: unknown): Promise<void>;
} {
  const list = new FakeNode("div");
  let answers: Readonly<Record<string, unknown>> = {};
  let tick = (): void => {};
  const document = {
    hidden: true,
    activeElement: new FakeNode("body"),
    getElementById: (id: string) => (id === "traces" ? list : (list.all.find((node) => node.id === id) ?? null)),
    createElement: (tag: string) => new FakeNode(tag),
  };
  const page = createContext({
    document,
    fetch: async (url: string) => {
      const query = /^zipkin\/api\/v2\/traces\?limit=10&(.*)$/.exec(url)?.[1] ?? "";
      return { text: async () => JSON.stringify(answers[query] ?? []) };
    },
    setInterval: (run: () => void) => {
      tick = run;
    },
  });
  new Script(scriptOf(renderPage({ modelId: "tiny", version: "1", traces: true })) ?? "").runInContext(page);
  document.hidden = false;
  const show = async (requests: unknown, loads: unknown = []): Promise<void> => {
    answers = { "annotationQuery=http.method": requests, "spanName=model.load": loads };
    tick();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const focus = (node: FakeNode): void => {
    document.activeElement = node;
  };
  return { list, focus, show };
}

const span = (traceId: string, tags?: Readonly<Record<string, string>>) => ({
  traceId,
  id: traceId,
  name: "post /v1/completions",
  timestamp: 1,
  duration: 5,
  ...(tags === undefined ? {} : { tags }),
});

describe("page", () => {
  it("escapes what it shows", () => {
    assert.equal(escapeHtml(`<a href="x">'&'</a>`), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    const page = renderPage({ modelId: "<script>alert(1)</script>", version: "<b>", traces: false });
    assert.equal(scriptOf(page), undefined);
    assert.ok(!page.includes("<b>"));
  });

  it("has one script, which parses and which its policy names", () => {
    const script = scriptOf(renderPage({ modelId: "tiny", version: "1", traces: true }));
    assert.ok(script);
    assert.doesNotThrow(() => new Script(script));
    assert.ok(PAGE_POLICY.includes(createHash("sha256").update(script).digest("base64")));
  });

  it("needs nothing from elsewhere", () => {
    const page = renderPage({ modelId: "tiny", version: "1", traces: true });
    assert.ok(!/https?:|src=|@import|url\(/.test(page));
  });

  it("says how to turn the store on where it is off", () => {
    const page = renderPage({ modelId: "tiny", version: "1", traces: false });
    assert.match(page, /--trace-store on/);
    assert.ok(!page.includes("/zipkin/"), "and names no address that answers 404");
  });

  it("says in words what failed, not in colour alone", async () => {
    const { list, show } = openPage();
    await show([[span("a", { error: "the engine died", "error.type": "engine_lost" })], [span("b")]]);
    const [failed, good] = list.querySelectorAll("details");
    assert.match(failed?.text ?? "", /failed: engine_lost/);
    assert.doesNotMatch(good?.text ?? "", /failed/);
  });

  it("shows every span once, with two halves of one id and with parents that lead in a circle", async () => {
    const { list, show } = openPage();
    const named = (name: string, id: string, parentId?: string) => ({ ...span("a"), name, id, parentId });
    const halves = [named("client", "1"), named("server", "1"), named("work", "2", "1")];
    const circle = [named("hen", "3", "4"), named("egg", "4", "3"), named("self", "5", "5")];
    await show([[...halves, ...circle]]);
    const names = list.all.filter(({ className }) => className === "name").map(({ textContent }) => textContent.trim());
    assert.deepEqual(names.sort(), ["client", "egg", "hen", "self", "server", "work"]);
  });

  it("shows the ten newest of requests and starts together", async () => {
    const { list, show } = openPage();
    const requests = Array.from({ length: 10 }, (_, i) => [{ ...span(`request${i}`), timestamp: 20 - 2 * i }]);
    await show(requests, [[{ ...span("load"), timestamp: 17 }]]);
    const ids = list.querySelectorAll("details").map(({ id }) => id);
    assert.deepEqual(ids, [
      "request0",
      "request1",
      "load",
      ...requests.slice(2, 9).map(([{ traceId } = span("")]) => traceId),
    ]);
  });

  it("leaves what has not changed alone, and keeps the focus in what has", async () => {
    const { list, focus, show } = openPage();
    await show([[span("a")]]);
    const [before] = list.querySelectorAll("details");
    assert.ok(before);
    await show([[span("a")]]);
    assert.equal(list.querySelectorAll("details")[0], before);
    focus(before);
    await show([[span("a")], [span("b")]]);
    const after = list.querySelectorAll("details").find(({ id }) => id === "a");
    assert.notEqual(after, before);
    assert.equal(after?.querySelector("summary")?.focused, true);
  });
});
