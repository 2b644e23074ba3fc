import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { COUNTERS, ERRORS, LIMITS, REASONS, SETTINGS } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { generateDocs } from "../../tools/generate-docs.ts";
import { checkCompatLiterals } from "./checks/compat-literals.ts";
import { checkCorePurity } from "./checks/core-purity.ts";
import { checkDependencyLaw } from "./checks/dependency-law.ts";
import { checkLibraryManners } from "./checks/library-manners.ts";
import {
  checkInstalled,
  checkLockfile,
  checkManifests,
  checkWorkspaceFile,
} from "./checks/manifests.ts";
import { checkProjectReferences } from "./checks/project-references.ts";
import { checkErrorsDocumented, checkRegistryUse } from "./checks/registry-use.ts";
import { checkRuleTests, PEER_RULES } from "./checks/rule-tests.ts";
import { checkSchedulerCallers } from "./checks/scheduler-callers.ts";
import { checkPages, checkShape } from "./checks/shape.ts";
import {
  parseManifests,
  readFiles,
  readInstalled,
  readManifests,
  readSources,
  readText,
  root,
} from "./read-tree.ts";

const sources = readSources();
const manifestFiles = readManifests();
const manifests = parseManifests(manifestFiles);

describe("sources", () => {
  test("follow the dependency law, and manifests name what they import", () => {
    expect(checkDependencyLaw(sources, manifests)).toEqual([]);
  });

  test("of core are pure", () => {
    expect(checkCorePurity(sources)).toEqual([]);
  });

  test("leave driving the scheduler to the engine's loop", () => {
    expect(checkSchedulerCallers(sources)).toEqual([]);
  });

  test("of libraries leave the process to whoever embeds them", () => {
    expect(checkLibraryManners(sources)).toEqual([]);
  });

  test("name HRESULTs and GUIDs by their tables, where each stands once", () => {
    expect(checkCompatLiterals(sources)).toEqual([]);
  });

  test("keep the bounds on length, are well named, introduced and finished", () => {
    expect(checkShape(sources)).toEqual([]);
  });
});

describe("tests", () => {
  test("name every rule about peers, so that one sees what provokes it", () => {
    expect(checkRuleTests(sources, PEER_RULES)).toEqual([]);
  });
});

describe("registries", () => {
  const registries = {
    settings: Object.keys(SETTINGS),
    limits: Object.keys(LIMITS),
    errors: Object.keys(ERRORS),
    counters: Object.keys(COUNTERS),
    reasons: Object.keys(REASONS),
  };

  test("have no row that the program does not use", () => {
    expect(checkRegistryUse(sources, registries)).toEqual([]);
  });

  test("have every error documented", () => {
    expect(checkErrorsDocumented(registries.errors, readText("docs/errors.md").text)).toEqual([]);
  });
});

describe("pages", () => {
  const pages = readFiles("{*.md,docs/**/*.md,packages/*/*.md,examples/**/*.md}");

  test.each([...generateDocs()])("%s says what the sources say", (path, text) => {
    expect(readText(path).text, "run pnpm run docs").toBe(text);
  });

  test("leave nothing for later", () => {
    expect(checkPages(pages)).toEqual([]);
  });

  test("of docs/ are all in its index, and links lead somewhere", () => {
    const index = readText("docs/README.md").text;
    const links = [...index.matchAll(/\]\(([^)#]+)[^)]*\)/g)].map(([, link = ""]) => link);
    const unlisted = readFiles("docs/*.md")
      .map(({ path }) => path.replace("docs/", ""))
      .filter((name) => name !== "README.md" && !links.includes(name));
    expect(unlisted, "pages missing in docs/README.md").toEqual([]);
    expect(links.filter((link) => !existsSync(join(root, "docs", link)))).toEqual([]);
  });
});

describe("packages", () => {
  test("have manifests after one pattern", () => {
    expect(checkManifests(manifestFiles)).toEqual([]);
  });

  test("are built in the order of their dependencies", () => {
    expect(checkProjectReferences(readFiles("packages/*/tsconfig.json"), manifests)).toEqual([]);
  });

  test("pin exact versions and run nothing at installation (R-DEP-01)", () => {
    expect(checkWorkspaceFile(readText("pnpm-workspace.yaml"))).toEqual([]);
    expect(checkLockfile(readText("pnpm-lock.yaml"))).toEqual([]);
    const installed = readInstalled();
    expect(installed.length).toBeGreaterThan(100);
    expect(checkInstalled(installed)).toEqual([]);
  });

  test("name one version of pnpm everywhere", () => {
    const { packageManager } = JSON.parse(readText("package.json").text) as Record<string, string>;
    for (const path of ["CONTRIBUTING.md", "README.md"]) {
      const text = existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : "";
      const versions = new Set(text.match(/pnpm@[0-9.]+/g) ?? []);
      expect([...versions].filter((version) => version !== packageManager)).toEqual([]);
    }
  });
});
