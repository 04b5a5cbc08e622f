"""The look of the report page: one style sheet, light and dark, screen and paper."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --paper:#fbfaf7; --card:#ffffff; --ink:#1d2326; --soft:#5b666b; --line:#dcdfdc;
  --accent:#1b6b5a; --good:#1b6b5a; --bad:#a3341f; --mark:#a3341f;
  --heat0:#0b6e5f; --heat1:#4a9c86; --heat2:#93c4a9; --heat3:#e3d9a2; --heat4:#dca35f; --heat5:#b3683a; --heat6:#6e3a26;
  --site0:#2f6db3; --site1:#96590f; --site2:#7a4fa3; --site3:#22837a; --site4:#a63d68; --site5:#5f6b2b;
  --on-site:#ffffff; }
@media (prefers-color-scheme: dark) { :root { --paper:#14181a; --card:#1b2023; --ink:#e9ecea; --soft:#9aa5a8;
  --line:#31383b; --accent:#6cc5ae; --good:#6cc5ae; --bad:#f0907a; --mark:#ff9d86;
  --heat0:#1a9c86; --heat1:#3f8f7c; --heat2:#5b8570; --heat3:#8a8350; --heat4:#a87a3c; --heat5:#a65c33; --heat6:#b04a34;
  --site0:#6ea5e6; --site1:#dd9f4b; --site2:#b48be0; --site3:#57bdb1; --site4:#dd7fa6; --site5:#aab766;
  --on-site:#10171a; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--paper); color:var(--ink); line-height:1.5;
  font:15px/1.5 system-ui, "Noto Sans", "Noto Sans KR", "Apple SD Gothic Neo", "Malgun Gothic", sans-serif; }
main, header, footer { max-width:72rem; margin:0 auto; padding:0 1.25rem; }
header { padding-top:2.25rem; } footer { padding-top:1rem; padding-bottom:2.5rem; color:var(--soft); font-size:.87rem; }
h1 { font-size:1.6rem; line-height:1.25; margin:0; letter-spacing:-.01em; }
header p { margin:.35rem 0 0; color:var(--soft); }
h2 { font-size:1.08rem; margin:2.2rem 0 .6rem; }
section > p { margin:.2rem 0 .8rem; color:var(--soft); }
.truth { display:grid; grid-template-columns:repeat(auto-fit,minmax(17rem,1fr)); gap:1rem; margin-top:1.4rem; }
.truth div { background:var(--card); border:1px solid var(--line); border-left:4px solid var(--accent);
  border-radius:6px; padding:.7rem 1rem; }
.truth div + div { border-left-style:dashed; border-left-color:var(--soft); }
.truth h2 { margin:0 0 .25rem; font-size:.95rem; }
.truth ul { margin:0; padding-left:1.1rem; }
.scroll { overflow-x:auto; background:var(--card); border:1px solid var(--line); border-radius:6px; }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; }
th, td { padding:.42rem .75rem; text-align:left; border-top:1px solid var(--line);
  vertical-align:top; white-space:nowrap; }
thead th { border-top:0; color:var(--soft); font-weight:600; font-size:.84rem; }
tbody th { font-weight:600; } td.n, th.n { text-align:right; } td.w { white-space:normal; min-width:14rem; }
tfoot th, tfoot td { border-top:2px solid var(--line); font-weight:600; }
.less, .ok { color:var(--good); font-weight:600; } .more, .no { color:var(--bad); font-weight:600; }
dl { display:grid; grid-template-columns:max-content 1fr; gap:.25rem 1.2rem; margin:0; padding:.7rem 1rem;
  background:var(--card); border:1px solid var(--line); border-radius:6px; }
dl + .scroll { margin-top:.8rem; }
dt { color:var(--soft); } dd { margin:0; font-variant-numeric:tabular-nums; overflow-wrap:anywhere; }
code { font:.86em ui-monospace, "Cascadia Mono", Menlo, monospace; overflow-wrap:anywhere; }
svg { display:block; width:100%; min-width:44rem; height:auto; }
svg text { font-size:12px; fill:var(--ink); } svg .soft { fill:var(--soft); font-size:11px; }
svg .grid { stroke:var(--line); } svg .wait { stroke:var(--soft); stroke-width:1.5; stroke-dasharray:2 4; }
svg .pause { stroke:var(--soft); stroke-width:1.5; } svg .kill { stroke:var(--mark); stroke-width:2.5; fill:none; }
svg .deadline { stroke:var(--ink); stroke-width:1.5; } svg .inbar { fill:var(--on-site); font-size:11px; }
.legend { display:flex; flex-wrap:wrap; gap:.3rem 1.1rem; padding:.5rem .9rem .7rem; margin:0; list-style:none;
  color:var(--soft); font-size:.84rem; }
.legend svg { display:inline-block; width:1.5rem; min-width:0; height:.8rem;
  vertical-align:-.05rem; margin-right:.4rem; }
.h0{fill:var(--heat0)} .h1{fill:var(--heat1)} .h2{fill:var(--heat2)} .h3{fill:var(--heat3)} .h4{fill:var(--heat4)}
.h5{fill:var(--heat5)} .h6{fill:var(--heat6)}
.s0{fill:var(--site0)} .s1{fill:var(--site1)} .s2{fill:var(--site2)} .s3{fill:var(--site3)} .s4{fill:var(--site4)}
.s5{fill:var(--site5)}
@media print { body { background:#fff; font-size:10pt; } main, header, footer { max-width:none; padding:0; }
  section { break-inside:avoid; } .scroll { overflow:visible; } svg { min-width:0; }
  * { print-color-adjust:exact; -webkit-print-color-adjust:exact; } }
"""
"""Every colour is a variable, so the SVG follows the scheme; colour never stands alone, a word is always beside it."""
