import { inProcess, remote } from "../contract/bits-site.ts";
import { bitsStateTable } from "../contract/bits-state-table.ts";

bitsStateTable("in process", inProcess);
bitsStateTable("remote", remote);
