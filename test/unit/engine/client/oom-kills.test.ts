import assert from "node:assert/strict";
import { OomKills } from "../../../../src/engine/client/oom-kills.js";

/** A kernel of these files, which the test changes. */
function kernel(files: Record<string, string>): OomKills {
  return new OomKills((path) => {
    const text = files[path];
    if (text === undefined) throw new Error(`ENOENT: ${path}`);
    return text;
  });
}

const events = (kills: number): string =>
  `low 0\nhigh 3\nmax 7\noom ${kills + 1}\noom_kill ${kills}\noom_group_kill 0\n`;
const control = (kills: number): string => `oom_kill_disable 0\nunder_oom 0\noom_kill ${kills}\n`;
const vmstat = (kills: number): string => `nr_free_pages 12\noom_kill ${kills}\nnuma_hit 1\n`;

const PLACES = [
  [
    "a v2 group",
    "0::/system.slice/vitrine.service\n",
    "/sys/fs/cgroup/system.slice/vitrine.service/memory.events",
    events,
  ],
  ["a v2 container", "0::/\n", "/sys/fs/cgroup/memory.events", events],
  ["a v2 container that sees the host's path", "0::/docker/1f\n", "/sys/fs/cgroup/memory.events", events],
  ["a v1 group", "5:cpu,memory:/jobs/7\n0::/\n", "/sys/fs/cgroup/memory/jobs/7/memory.oom_control", control],
  ["a v1 container", "4:memory:/docker/1f\n", "/sys/fs/cgroup/memory/memory.oom_control", control],
  ["no memory group", "0::/\n", "/proc/vmstat", vmstat],
  ["no groups at all", undefined, "/proc/vmstat", vmstat],
] as const;

describe("OomKills", () => {
  for (const [where, groups, path, text] of PLACES) {
    it(`counts in ${where}, each kill once`, () => {
      const files: Record<string, string> = { [path]: text(2) };
      if (groups !== undefined) files["/proc/self/cgroup"] = groups;
      const kills = kernel(files);
      assert.equal(kills.happened(), false);
      files[path] = text(3);
      assert.deepEqual([kills.happened(), kills.happened()], [true, false]);
    });
  }

  it("believes its own group before the machine", () => {
    const files = {
      "/proc/self/cgroup": "0::/a\n",
      "/sys/fs/cgroup/a/memory.events": events(0),
      "/proc/vmstat": vmstat(0),
    };
    const kills = kernel(files);
    files["/proc/vmstat"] = vmstat(5);
    assert.equal(kills.happened(), false, "somebody else's");
  });

  it("knows of nothing where the kernel does not count, or only begins to", () => {
    const files: Record<string, string> = { "/proc/vmstat": "nr_free_pages 12\n" };
    const kills = kernel(files);
    assert.equal(kills.happened(), false);
    files["/proc/vmstat"] = vmstat(4);
    assert.equal(kills.happened(), false);
    files["/proc/vmstat"] = vmstat(5);
    assert.equal(kills.happened(), true);
  });
});
