/** Programs of test/programs in folders as their users have them: a package of its own, with packages it depends on. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { program } from "./traced-program.js";
import { installed, type TransformersPackage } from "./transformers-packages.js";
import { PACKAGE_ROOT } from "./vitrine-process.js";

/** A folder with the program, its packages, and below `models` a model as `model`. Skips the test where they cannot be had. */
export class UserProject {
  readonly folder = mkdtempSync(join(tmpdir(), "vitrine-project-"));
  readonly program: string;
  readonly models = join(this.folder, "models");

  /** @param name of the package, which is the service's in traces @param ours packages of this project's own */
  constructor(context: Mocha.Context, name: string, file: string, library: TransformersPackage, ours: string[] = []) {
    this.program = join(this.folder, basename(file));
    const packages = join(installed(context, library), "node_modules");
    this.#link(library.name, packages);
    for (const one of ours) this.#link(one, join(PACKAGE_ROOT, "node_modules"));
    writeFileSync(join(this.folder, "package.json"), JSON.stringify({ name }));
    copyFileSync(program(file), this.program);
    library.model(this.models);
  }

  #link(name: string, from: string): void {
    const link = join(this.folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(from, name), link);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}
