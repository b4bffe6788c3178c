import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Script } from "node:vm";
import { escapeHtml, PAGE_POLICY, renderPage } from "../../../src/server/page.js";

const scriptOf = (page: string): string | undefined => /<script>(.*)<\/script>/s.exec(page)?.[1];

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
    assert.match(renderPage({ modelId: "tiny", version: "1", traces: false }), /--trace-store on/);
  });
});
