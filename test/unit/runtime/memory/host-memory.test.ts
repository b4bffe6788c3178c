import assert from "node:assert/strict";
import { hostMemory } from "../../../../src/runtime/memory/host-memory.js";

const MIB = 2 ** 20;
const meminfo = `MemTotal:       ${16 * 1024 * 1024} kB\nMemFree:  1000 kB\nMemAvailable:   ${10 * 1024 * 1024} kB\n`;
const WHOLE = { total: 16 * 1024 * MIB, used: 6 * 1024 * MIB };

const memoryOf = (files: Record<string, string>) => {
  const all: Record<string, string> = { "/proc/meminfo": meminfo, ...files };
  return hostMemory((path) => all[path]);
};

describe("this machine's memory", () => {
  it("is the kernel's own estimate, which counts what the page cache would give back", () => {
    assert.deepEqual(memoryOf({}), WHOLE);
  });

  it("is what the tightest control group leaves, of version 2 and those above, idle file pages not counted", () => {
    const group = "/sys/fs/cgroup/pod/worker";
    const files = {
      "/proc/self/cgroup": "0::/pod/worker\n",
      [`${group}/memory.max`]: "max\n",
      [`${group}/memory.current`]: `${900 * MIB}\n`,
      "/sys/fs/cgroup/pod/memory.max": `${2048 * MIB}\n`,
      "/sys/fs/cgroup/pod/memory.current": `${1500 * MIB}\n`,
      "/sys/fs/cgroup/pod/memory.stat": `anon ${700 * MIB}\ninactive_anon 5\ninactive_file ${600 * MIB}\nactive_file 7\n`,
    };
    assert.deepEqual(memoryOf(files), { total: 2048 * MIB, used: 900 * MIB });
    assert.deepEqual(memoryOf({ ...files, [`${group}/memory.max`]: `${1000 * MIB}\n` }), {
      total: 1000 * MIB,
      used: 900 * MIB,
    });
  });

  it("is a container's, which sees its group as the root, of version 1", () => {
    const root = "/sys/fs/cgroup/memory";
    const files = {
      "/proc/self/cgroup": "9:name=systemd:/docker/x\n4:cpu,memory:/docker/x\n0::/\n",
      [`${root}/memory.limit_in_bytes`]: `${4096 * MIB}\n`,
      [`${root}/memory.usage_in_bytes`]: `${3000 * MIB}\n`,
      [`${root}/memory.stat`]: `cache 1\ntotal_inactive_file ${1000 * MIB}\n`,
    };
    assert.deepEqual(memoryOf(files), { total: 4096 * MIB, used: 2000 * MIB });
  });

  it("takes a limit beyond the machine's for none, as version 1 has it", () => {
    const files = {
      "/proc/self/cgroup": "4:memory:/\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/memory/memory.usage_in_bytes": "5\n",
    };
    assert.deepEqual(memoryOf(files), WHOLE);
  });

  it("is read on this one", () => {
    const { used, total } = hostMemory();
    assert.ok(used > 0 && used < total);
  });
});
