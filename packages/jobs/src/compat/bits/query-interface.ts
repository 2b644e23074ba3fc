/**
 * `queryInterface` by a table: each object lists the interfaces it has, and which of its views
 * answers each. Two views are needed where two interfaces have methods of the same name.
 */
import { parseGuid } from "../constants/guid.ts";
import { HResultError } from "../hresult-error.ts";
import type { InterfacesById } from "./interfaces.ts";

/** The interfaces of one object, by id. */
export type Views = Partial<InterfacesById>;

/** Ids are taken in either case, with braces or without. Throws `E_NOINTERFACE`. */
export function viewOf<Iid extends keyof InterfacesById>(
  views: Views,
  iid: Iid,
): InterfacesById[Iid] {
  const guid = parseGuid(iid) as Iid | undefined;
  const view = guid === undefined ? undefined : views[guid];
  if (view === undefined) throw HResultError.of("E_NOINTERFACE");
  return view;
}
