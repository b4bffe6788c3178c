/**
 * A root file system that begins as this machine's and keeps changes to itself: an overlay, entered by chroot in a mount
 * namespace of its own, that goes when its command ends. What a stage of a Dockerfile has, as far as that can be had
 * without a Docker engine.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

const ENTER = `
mount -t overlay overlay -o "$STAGE_MODE,lowerdir=/,upperdir=$STAGE/files,workdir=$STAGE/work" "$STAGE/root" &&
mount -t proc proc "$STAGE/root/proc" &&
mount --rbind /dev "$STAGE/root/dev" &&
mount -t tmpfs -o mode=1777 tmpfs "$STAGE/root/tmp" &&
exec chroot --userspec="$STAGE_USER" "$STAGE/root" env -i -C "$STAGE_WORKDIR" "$@"`;

export interface Place {
  readonly user: string;
  readonly workdir: string;
  /** Nothing can be written but below /tmp. */
  readonly readOnly?: boolean;
  /** A network of its own, with nobody in it: what listens on this machine does not take its ports. */
  readonly alone?: boolean;
  /** All that the command gets. */
  readonly env: Readonly<Record<string, string>>;
}

export class Overlay {
  /** What the stage has written. */
  readonly files: string;

  constructor(private readonly folder: string) {
    this.files = join(folder, "files");
    for (const name of ["files", "work", "root"]) mkdirSync(join(folder, name), { recursive: true });
  }

  /** Undefined where it works here, else why not. */
  unusable(): string | undefined {
    if (process.getuid?.() !== 0) return "it needs to be root, to mount and to change users";
    const { status, stderr } = this.#spawnSync(["true"], { user: "0:0", workdir: "/", env: {} });
    return status === 0 ? undefined : `an overlay cannot be mounted here: ${stderr.trim()}`;
  }

  /** Throws with what the command said where it fails. */
  run(command: readonly string[], place: Place): void {
    const { status, signal, stdout, stderr } = this.#spawnSync(command, place);
    if (status === 0) return;
    throw new Error(`${command.join(" ")}\nended with ${signal ?? status}:\n${stdout}${stderr}`);
  }

  start(command: readonly string[], place: Place): ChildProcess {
    const [program, args, env] = this.#entered(command, place);
    return spawn(program, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  }

  #spawnSync(command: readonly string[], place: Place) {
    const [program, args, env] = this.#entered(command, place);
    return spawnSync(program, args, { env, encoding: "utf8", maxBuffer: 2 ** 26 });
  }

  #entered(command: readonly string[], { user, workdir, readOnly = false, alone = false, env }: Place) {
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const args = ["--mount", ...(alone ? ["--net"] : []), "sh", "-c", ENTER, "sh", ...variables, ...command];
    const { PATH = "" } = process.env;
    const stage = { STAGE: this.folder, STAGE_USER: user, STAGE_WORKDIR: workdir, STAGE_MODE: readOnly ? "ro" : "rw" };
    return ["unshare", args, { PATH, ...stage }] as const;
  }
}
