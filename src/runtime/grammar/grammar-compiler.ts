import { Worker } from "node:worker_threads";
import type { ConstraintCompiler, TokenConstraint } from "../../engine/sampling/constraint.js";
import { VitrineError } from "../../errors.js";
import type { Grammar } from "../../protocol.js";
import type { Expr } from "./expression.js";
import { GrammarConstraint } from "./grammar-constraint.js";
import { GrammarLanguages } from "./grammar-language.js";
import { TokenMasks } from "./token-masks.js";
import type { VocabularyResult, VocabularySetup, VocabularyTables } from "./vocabulary-worker.js";

/** Expressions that are kept for the next grammars; then new ones begin. */
const MOST_EXPRESSIONS = 200_000;
/** Compiled grammars that are kept: programs ask for the same few again and again. */
const MOST_GRAMMARS = 128;

/** What grammars share: expressions, their masks, and what was compiled into them. */
interface Shared {
  readonly languages: GrammarLanguages;
  readonly masks: TokenMasks;
  readonly compiled: Map<string, Expr>;
}

/**
 * Compiles grammars for the vocabulary of a model directory. The vocabulary is read with the first one, in a thread of
 * its own; compiling itself takes about a millisecond, as masks are made when they are needed.
 */
export class GrammarCompiler implements ConstraintCompiler {
  #tables: Promise<VocabularyTables> | undefined;
  #shared: Shared | undefined;

  /** @param vocabSize logits of the model */
  constructor(
    private readonly directory: string,
    private readonly vocabSize: number,
    private readonly read: (directory: string) => Promise<VocabularyTables> = readInThread,
  ) {}

  async compile(grammar: Grammar, stopTokenIds: readonly number[]): Promise<TokenConstraint> {
    this.#tables ??= this.read(this.directory);
    const tables = await this.#tables.catch((error: unknown) => {
      // The next request may find the file mended.
      this.#tables = undefined;
      throw error;
    });
    if (this.#shared === undefined || this.#shared.languages.derivatives.exprs.size > MOST_EXPRESSIONS) {
      const languages = new GrammarLanguages();
      const counted = new Map(languages.characters.map((item, i) => [item, tables.characters[i]]));
      const masks = new TokenMasks(languages.derivatives, tables.trie, this.vocabSize, counted);
      this.#shared = { languages, masks, compiled: new Map() };
    }
    const start = compiled(this.#shared, grammar, tables.special);
    return new GrammarConstraint(this.#shared.masks, tables, stopTokenIds, start);
  }
}

function compiled({ languages, compiled }: Shared, grammar: Grammar, special: readonly string[]): Expr {
  const key = JSON.stringify(grammar);
  const expr = compiled.get(key) ?? languages.of(grammar, special);
  // The latest used last.
  compiled.delete(key);
  compiled.set(key, expr);
  const oldest = compiled.keys().next();
  if (compiled.size > MOST_GRAMMARS && oldest.done !== true) compiled.delete(oldest.value);
  return expr;
}

function readInThread(directory: string): Promise<VocabularyTables> {
  const workerData: VocabularySetup = { directory };
  const entry = new URL("./vocabulary-worker.js", import.meta.url);
  return new Promise((resolve, reject) => {
    const worker = new Worker(entry, { workerData, execArgv: [], name: "vitrine-vocabulary" });
    const lost = (reason: string): void =>
      reject(new VitrineError("internal", `The thread that reads the vocabulary died (${reason}); try again.`));
    worker.on("message", (result: VocabularyResult) => {
      if (result.kind === "tables") resolve(result.tables);
      else reject(VitrineError.fromWire(result.error));
    });
    worker.on("error", (error) => lost(error.message));
    worker.on("exit", (code) => lost(`exit code ${code}`));
  });
}
