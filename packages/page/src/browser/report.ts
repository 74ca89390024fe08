/** A report brought to life: the page as it was written becomes one that answers. */
import { h, render } from "preact"
import type { Results } from "@bitbudget/lab"
import { Page } from "../Page.ts"

const [root, text] = ["root", "document"].map((id) => document.getElementById(id))
if (root !== null && root !== undefined && typeof text?.textContent === "string")
  render(h(Page, { document: JSON.parse(text.textContent) as Results.ReportDocument }), root)
