/** The style sheet: light and dark by the reader's setting, fit for print and for a phone. */
export const style = `
:root { color-scheme: light dark; --ink: #1c1917; --paper: #fdfcfa; --faint: #625b56; --rule: #e0ddda; --accent: #b93c0b; --fill: #0f766e; --over: #b91c1c; --soft: #f3f0ec }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e5e4; --paper: #191817; --faint: #b0a9a4; --rule: #3b3834; --accent: #fb923c; --fill: #2dd4bf; --over: #fca5a5; --soft: #24221f } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2.2rem 1.25rem 4rem; max-width: 64rem; color: var(--ink); background: var(--paper); font: 16px/1.55 ui-sans-serif, system-ui, sans-serif; font-variant-numeric: tabular-nums }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; overflow-wrap: anywhere }
h2 { font-size: 1.05rem; margin: 2.4rem 0 .7rem; padding-bottom: .3rem; border-bottom: 1px solid var(--rule); overflow-wrap: anywhere }
article + article { margin-top: 3.5rem }
p { margin: .4rem 0; overflow-wrap: anywhere } .faint, figcaption { color: var(--faint); font-size: .9rem } .over { color: var(--over) }
a { color: var(--accent) }
.verdict { font-size: 1.12rem; margin: 1rem 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); white-space: nowrap }
th { color: var(--faint); font-weight: 500 } .word { text-align: left }
tr.chosen td { font-weight: 600 } figure { margin: .4rem 0; overflow-x: auto }
.chart > svg { width: 100%; min-width: 40rem; height: auto; display: block } .draggable { cursor: ew-resize; touch-action: pan-y } .house { cursor: pointer } .house:hover { opacity: .8 }
.bar { display: block; width: 100%; min-width: 8rem; height: .8rem } .bar .whole { fill: var(--rule) } .bar .filled { fill: var(--fill) } .bar.over .filled { fill: var(--over) } .bar .whisker { stroke: var(--ink); stroke-width: 1.5; fill: none; vector-effect: non-scaling-stroke }
code, pre { font: .84rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere } pre { padding: .7rem .9rem; border: 1px solid var(--rule); border-radius: .4rem; white-space: pre-wrap }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; font-size: .9rem } dt { color: var(--faint) } dd { margin: 0; overflow-wrap: anywhere }
details { margin: .6rem 0 } summary { cursor: pointer; color: var(--faint) }
button, select, input { font: inherit; color: inherit } button, select, input[type=search] { background: var(--soft); border: 1px solid var(--faint); border-radius: .35rem; padding: .25rem .6rem } button { cursor: pointer }
button[aria-pressed=true] { background: var(--ink); color: var(--paper) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.switch, .details label, .tools { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; font-size: .9rem; margin: .5rem 0 } .tools input[type=search] { flex: 1 1 20rem; min-width: 0 } .details select { max-width: 100% }
.sliders { display: grid; gap: .3rem; margin: .8rem 0; font-size: .9rem } .sliders label { display: grid; grid-template-columns: 4.5rem 1fr 11rem; gap: .8rem; align-items: center } .sliders input { width: 100%; accent-color: var(--accent) }
th button { border: 0; background: none; padding: 0; color: inherit; font: inherit; text-decoration: underline dotted }
nav { display: flex; gap: 1rem; align-items: baseline; margin-bottom: 1.6rem; font-size: .95rem }
.dashboard { max-width: 88rem }
@media (max-width: 40rem) { body { padding: 1.2rem .9rem 3rem } dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .5rem } .sliders label { grid-template-columns: 4rem 1fr; } .sliders output { grid-column: 2 } }
@media print { :root { --ink: #000; --paper: #fff; --faint: #444; --rule: #ccc; --fill: #0f766e; --accent: #b93c0b; --over: #b91c1c } body { padding: 0; max-width: none; font-size: 11pt } .chart > svg { min-width: 0 } .switch, .sliders, .details, .back, nav { display: none } h2 { break-after: avoid } figure, tr { break-inside: avoid } .wide { overflow: visible } }
`
