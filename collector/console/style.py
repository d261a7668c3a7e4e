"""How the console looks: one sheet, colours as variables, light and dark, from a phone to a wide screen."""

from __future__ import annotations

SHEET = """
:root{--page:#f4f6f8;--card:#fff;--ink:#1c2733;--soft:#5a6877;--line:#dbe1e8;--hover:#f0f4f8;--deed:#1f5fa8;
--bad:#b3261e;--bad-back:#fbe9e7;--warn:#8a5300;--warn-back:#fff3dc;--good:#1b6e3c;--good-back:#e5f4ea;
--calm-back:#e9edf2;--bar:#17324d}
body.body--dark{--page:#12171d;--card:#1a2129;--ink:#dfe6ee;--soft:#97a5b4;--line:#2f3a45;--hover:#212a34;
--deed:#78aef0;--bad:#ff9b92;--bad-back:#46211f;--warn:#ffc766;--warn-back:#3f3018;--good:#7fd6a0;
--good-back:#1b3626;--calm-back:#2a343f;--bar:#0f1e2e}
.fw-deed{color:var(--deed)}body.body--dark .q-table td,body.body--dark .q-table th{border-color:var(--line)}
body,body.body--dark{background:var(--page);color:var(--ink)}
body,.q-btn,.q-field{font-family:system-ui,-apple-system,"Segoe UI","Noto Sans CJK SC","Microsoft YaHei",sans-serif;
font-size:14px;line-height:1.45}
.nicegui-content{padding:1rem 1.25rem 3rem;gap:1rem;max-width:1500px;margin:0 auto;width:100%}
a,.nicegui-link{color:var(--deed);text-decoration:none}a:hover{text-decoration:underline}
.fw-bar{background:var(--bar);color:#fff;min-height:48px;padding:0 1.25rem;gap:.25rem;align-items:center;
flex-wrap:nowrap}
.fw-bar a{color:#dfe9f4;padding:.35rem .7rem;border-radius:5px;white-space:nowrap}
.fw-bar a:hover{background:rgba(255,255,255,.1);text-decoration:none}
.fw-bar a.fw-here{background:rgba(255,255,255,.17);color:#fff;font-weight:600}
.fw-bar a.fw-brand{font-weight:700;font-size:1.05rem;color:#fff;padding-left:0;margin-right:.5rem}
.fw-bar .q-btn{color:#dfe9f4}
.fw-head{width:100%;align-items:flex-start;justify-content:space-between;gap:.75rem;flex-wrap:wrap}
.nicegui-content h1{font-size:1.35rem;line-height:1.3;font-weight:650;margin:0;overflow-wrap:anywhere}
.fw-path{color:var(--soft);font-size:.85rem}
.fw-card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:1rem;width:100%;gap:.6rem;
box-shadow:none;min-width:0;align-items:stretch}
.fw-card h2,.fw-title{font-size:.95rem;line-height:1.4;font-weight:650;margin:0}
.fw-soft{color:var(--soft)}.fw-small{font-size:.85rem}
.fw-mono{font-family:ui-monospace,"SF Mono",Menlo,Consolas,monospace;font-size:.82rem;overflow-wrap:anywhere}
.fw-tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.75rem;width:100%}
.fw-tile{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.65rem .9rem}
.fw-tile b{display:block;font-size:1.5rem;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums}
.fw-tile span{color:var(--soft);font-size:.85rem}
.fw-two{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:1rem;width:100%;align-items:start}
.fw-main{display:grid;grid-template-columns:minmax(0,2fr) minmax(0,1fr);gap:1rem;width:100%;align-items:start}
.fw-col{display:flex;flex-direction:column;gap:1rem;min-width:0}
.fw-facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.25rem 1rem;width:100%}
.fw-facts dt{color:var(--soft)}.fw-facts dd{margin:0;overflow-wrap:anywhere}
.fw-badge{display:inline-block;padding:.05rem .5rem;border-radius:4px;font-size:.82rem;font-weight:600;
white-space:nowrap;background:var(--calm-back);color:var(--ink)}
.fw-bad{color:var(--bad)}.fw-warn{color:var(--warn)}.fw-good{color:var(--good)}
.fw-badge.fw-bad{background:var(--bad-back)}.fw-badge.fw-warn{background:var(--warn-back)}
.fw-badge.fw-good{background:var(--good-back)}
.fw-table{width:100%;background:var(--card);border:1px solid var(--line);border-radius:8px;box-shadow:none;
color:var(--ink)}
.fw-table th{color:var(--soft);font-weight:600;font-size:.82rem;background:var(--card);white-space:normal;word-break:keep-all}
.fw-table td{font-size:.88rem;white-space:normal;overflow-wrap:break-word}
.fw-table .q-table tbody td{height:36px;padding:5px 12px}.fw-table .q-table th{padding:6px 12px;height:36px}
.fw-table td.fw-number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.fw-table td.fw-time{white-space:nowrap;font-variant-numeric:tabular-nums}
.fw-table td.fw-long{min-width:13rem}.fw-main>.fw-col:last-child .fw-table td.fw-long{min-width:0}.fw-table td.fw-name{white-space:nowrap}
.fw-table tbody tr:hover{background:var(--hover)}.fw-table .q-table__bottom{min-height:40px;color:var(--soft)}
.fw-tools{width:100%;gap:.5rem;align-items:center;flex-wrap:wrap}
.fw-tools .q-field{min-width:9rem}
.fw-evidence{display:grid;gap:.6rem;width:100%}
.fw-line{display:grid;grid-template-columns:1.4rem minmax(0,1fr);gap:.4rem}
.fw-line .fw-mark{font-weight:700}
.fw-events{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.45rem 1rem;width:100%}
.fw-events .fw-when{color:var(--soft);font-size:.85rem;white-space:nowrap;font-variant-numeric:tabular-nums;
padding-top:.1rem}
.fw-events .fw-what{overflow-wrap:anywhere;white-space:pre-line}
.fw-lead{font-size:1.02rem}.fw-pre{white-space:pre-line}
.fw-notice{border-left:3px solid var(--warn);background:var(--warn-back);padding:.6rem .9rem;border-radius:4px;
width:100%;align-items:center;justify-content:space-between}
.fw-chart{width:100%;height:250px}.fw-charts{display:grid;gap:1rem;width:100%;
grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr))}.fw-charts .fw-chart{height:200px}.fw-form{max-width:46rem}
.fw-find{max-width:30rem}.fw-nowrap{white-space:nowrap}
.fw-who{padding:.8rem 1rem;gap:.5rem}
.fw-logout{background:none;border:0;color:var(--deed);font:inherit;cursor:pointer;padding:0}.fw-narrow{display:none}
.q-field--outlined .q-field__control{border-radius:6px}
.q-chip{background:var(--calm-back);color:var(--ink)}.q-chip__icon--remove{opacity:1;color:var(--soft)}
@layer overrides{:focus-visible{outline:2px solid var(--deed)!important;outline-offset:1px}
.fw-bar :focus-visible{outline-color:#fff!important}.q-field__native:focus-visible{outline:0!important}
body.body--dark{--q-primary:#78aef0!important}body.body--dark .bg-primary{color:#0f1e2e!important}}
@media (max-width:1000px){.fw-main,.fw-two{grid-template-columns:minmax(0,1fr)}}
@media (max-width:720px){.nicegui-content{padding:.75rem .6rem 3rem}.fw-bar{padding:0 .6rem}
.fw-wide{display:none!important}.fw-narrow{display:inline-flex}
.fw-table .q-table tbody td,.fw-table .q-table th{padding:6px}.fw-table td.fw-long{min-width:0}
.fw-table th:not(.sorted) .q-table__sort-icon{display:none}.fw-table td.fw-time,.fw-table td.fw-name{white-space:normal}
.fw-table td.fw-name{min-width:5.5rem;overflow-wrap:anywhere}
.fw-events{grid-template-columns:minmax(0,1fr);gap:.1rem}.fw-events .fw-what{margin-bottom:.6rem}
.fw-tiles{grid-template-columns:repeat(2,1fr)}.fw-card{padding:.8rem}.nicegui-content h1{font-size:1.15rem}
.fw-tools .q-field{flex:1 1 9rem}}
"""
