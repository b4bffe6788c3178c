import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const FOLDERS = ["src", "native", "models", "deploy", "docs", "test"];
const DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "RATIONALE.md", "BENCHMARKS.md", "CHANGELOG.md"];

const paths = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) => join(folder, path));
const read = (path: string): string => readFileSync(path, "utf8");

/** As GitHub makes an anchor of a heading. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

describe("the documents", () => {
  const tree = [...FOLDERS, ...FOLDERS.flatMap(paths)];

  it("ARCHITECTURE.md names only files and folders that are there", () => {
    const text = read("ARCHITECTURE.md");
    const files = [...text.matchAll(/`([\w./-]+\.(?:ts|sh|md))`/g)].map(([, name = ""]) => name);
    const folders = [...text.matchAll(/`((?:src|native|models|deploy|docs|test)\/[\w/-]*)`/g)].map(([, name = ""]) =>
      name.replace(/\/$/, ""),
    );
    assert.ok(files.length > 100 && folders.length > 10);
    const known = (name: string): boolean => tree.some((path) => path === name || path.endsWith(`/${name}`));
    assert.deepEqual(
      [...files, ...folders].filter((name) => !known(name)),
      [],
    );
  });

  it("CONTRIBUTING.md names every command of package.json that one calls by name", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const text = read("CONTRIBUTING.md");
    // These run by themselves, or are what the README begins with.
    const implied = /^(pre.*|start|build)$/;
    assert.deepEqual(
      Object.keys(scripts).filter((name) => !implied.test(name) && !new RegExp(`\\b${name}\\b`).test(text)),
      [],
    );
  });

  it("link only to files and headings that are there", () => {
    const documents = [...DOCUMENTS, ...paths("docs").filter((path) => path.endsWith(".md"))];
    const links = documents.flatMap((from) =>
      [...read(from).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(([link, path = "", heading]) => {
        const to = path === "" ? from : normalize(join(dirname(from), path));
        return { link: `${from}: ${link}`, to, heading };
      }),
    );
    assert.ok(links.length > 10);
    const there = ({ to, heading }: { to: string; heading: string | undefined }): boolean => {
      const exists = [...DOCUMENTS, "Dockerfile", "Dockerfile.gpu", ...tree].includes(to);
      if (!exists || heading === undefined) return exists;
      return [...read(to).matchAll(/^#+ (.*)$/gm)].some(([, title = ""]) => anchor(title) === heading);
    };
    assert.deepEqual(
      links.filter((link) => !there(link)).map(({ link }) => link),
      [],
    );
  });
});

describe("the images", () => {
  it("are built from, and hold, every folder that the program imports from", () => {
    const files = paths("src").filter((path) => path.endsWith(".ts"));
    const imported = files.flatMap((path) =>
      [...read(path).matchAll(/(?:from |import\()"(\.[^"]+)"/g)].map(
        ([, to = ""]) => normalize(join(dirname(path), to)).split("/")[0] ?? "",
      ),
    );
    const needed = [...new Set(imported)].sort();
    assert.deepEqual(needed, ["models", "native", "src"]);
    for (const image of ["Dockerfile", "Dockerfile.gpu"]) {
      for (const folder of needed) {
        const lines = [`COPY ${folder} ${folder}`, `COPY --from=build /app/dist/${folder} dist/${folder}`];
        assert.deepEqual(
          lines.filter((line) => !read(image).split("\n").includes(line)),
          [],
          image,
        );
      }
    }
  });
});
