/** The report of a benchmark as a reader has it: a file, opened in a real browser. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { reportPage } from "../../src/bench/report/report-page.js";
import { simulatedResult } from "../support/bench-result.js";
import { launchChromium } from "../support/chromium.js";

describe("a benchmark's report in a browser", function () {
  this.timeout(60_000);
  let browser: Browser;
  let folder: string;
  /** Where screenshots are wanted, `SCREENSHOTS` names a folder. */
  const screenshots = process.env.SCREENSHOTS;

  before(async function () {
    browser = await launchChromium(this);
    folder = mkdtempSync(join(tmpdir(), "vitrine-report-"));
    const result = simulatedResult({ concurrency: 1 }, { concurrency: 4 }, { concurrency: 16, failures: 0.1 });
    const target = { ...result.target, model: "<script>alert(1)</script>" };
    writeFileSync(join(folder, "report.html"), reportPage({ ...result, target }));
  });
  after(async () => {
    await browser?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  /** The page, and everything that went wrong on it or that it asked the network for. */
  const open = async (options: Parameters<Browser["newPage"]>[0] = {}): Promise<{ page: Page; faults: string[] }> => {
    const page = await browser.newPage({ viewport: { width: 1100, height: 900 }, ...options });
    const faults: string[] = [];
    const file = pathToFileURL(join(folder, "report.html")).href;
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("console", (message) => faults.push(message.text()));
    page.on("dialog", (dialog) => faults.push(dialog.message()));
    page.on("request", (request) => {
      if (request.url() !== file) faults.push(request.url());
    });
    await page.goto(file);
    return { page, faults };
  };

  for (const colorScheme of ["light", "dark"] as const) {
    it(`draws every plot, ${colorScheme}, with no error and nothing from the network`, async () => {
      const { page, faults } = await open({ colorScheme });
      assert.deepEqual(faults, []);
      // Four against load, two distributions, two of where the time went, and a timeline that is open.
      assert.equal(await page.locator("svg.plot:visible").count(), 9);
      for (const plot of await page.locator("svg.plot:visible").all()) {
        const box = await plot.boundingBox();
        assert.ok(
          box !== null && box.width > 300 && box.height > 50,
          `${await plot.getAttribute("aria-label")} has no size`,
        );
      }
      const sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
      assert.equal(await page.evaluate(sideways), 0, "it scrolls sideways");
      const ground = await page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
      const bright = Number(/\d+/.exec(ground)?.[0]) > 128;
      assert.equal(bright, colorScheme === "light", ground);
      if (screenshots !== undefined) {
        mkdirSync(screenshots, { recursive: true });
        await page.screenshot({ path: join(screenshots, `report-${colorScheme}.png`), fullPage: true });
      }
      await page.close();
    });
  }

  it("tells the value under the pointer", async () => {
    const { page, faults } = await open();
    assert.ok(await page.locator("#tip").isHidden());
    await page.locator(".dot").first().hover({ force: true });
    assert.match((await page.locator("#tip").textContent()) ?? "", /^p50 at 1: [\d.]+ ms/);
    assert.deepEqual(faults, []);
    await page.close();
  });

  it("looks closer at the stretch of a timeline that is dragged across, and back", async () => {
    const { page, faults } = await open();
    const view = page.locator(".zoomable").first();
    await view.scrollIntoViewIfNeeded();
    const box = (await view.boundingBox()) ?? assert.fail();
    const whole = (await view.getAttribute("viewBox"))?.split(" ").map(Number) ?? [];
    // Its box on the page is the drawn area, whatever lies in it.
    const width = await page.evaluate<number>(
      "document.querySelector('.zoomable').parentNode.getBoundingClientRect().width",
    );
    const left = (await view.locator("xpath=..").boundingBox())?.x ?? 0;
    await page.mouse.move(left + width * 0.25, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(left + width * 0.5, box.y + box.height / 2);
    await page.mouse.up();
    const closer = (await view.getAttribute("viewBox"))?.split(" ").map(Number) ?? [];
    assert.ok(Math.abs((closer[2] ?? 0) / (whole[2] ?? 1) - 0.26) < 0.02, `${closer} of ${whole}`);
    await page.getByRole("button", { name: "Show all of it" }).first().click();
    assert.deepEqual((await view.getAttribute("viewBox"))?.split(" ").map(Number), whole);
    assert.deepEqual(faults, []);
    await page.close();
  });

  it("gives the numbers of every plot to who cannot see it, and all of it without a script", async () => {
    const { page } = await open({ javaScriptEnabled: false });
    const figures = await page.locator("figure").all();
    assert.ok(figures.length > 8);
    for (const figure of figures) {
      assert.ok((await figure.locator("svg.plot").getAttribute("aria-label"))?.length);
      assert.ok((await figure.locator("table tbody tr").count()) > 0);
    }
    assert.ok((await page.locator(".plot title").count()) > 50, "titles are the browser's own tooltips");
    assert.equal(await page.locator("h1").textContent(), "<script>alert(1)</script> at 127.0.0.1:8080");
    await page.close();
  });

  it("fits a telephone", async () => {
    const { page } = await open({ viewport: { width: 390, height: 800 } });
    const sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert.equal(await page.evaluate(sideways), 0);
    await page.close();
  });
});
