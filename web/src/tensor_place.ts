// Where a tensor or group lies in a model, read off its GGUF name: "blk.3.attn_q.weight" is role attn_q of layer 3.

export interface Place {
  layer: number; // -1: outside the blocks
  role: string;
}

export const kWholeLayer = "whole layer";

const kRoleOrder = [
  "attn_q",
  "attn_k",
  "attn_v",
  "attn_qkv",
  "attn_output",
  "ffn_gate",
  "ffn_up",
  "ffn_down",
  "ffn_gate_exps",
  "ffn_up_exps",
  "ffn_down_exps",
  kWholeLayer,
];

export function placeOf(name: string): Place {
  const block = /^blk\.(\d+)(?:\.(.+))?$/.exec(name);
  const role = (block ? (block[2] ?? kWholeLayer) : name).replace(/\.weight$/, "");
  return { layer: block ? Number(block[1]) : -1, role };
}

export function sortedRoles(roles: Iterable<string>): string[] {
  const rank = (role: string) => {
    const known = kRoleOrder.indexOf(role);
    return known < 0 ? kRoleOrder.length : known;
  };
  return [...new Set(roles)].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b, "en", { numeric: true }));
}
