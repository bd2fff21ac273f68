"use strict";
const rows = document.getElementById("rows");
const state = document.getElementById("state");

// flatten lists every plain value under its path.
function flatten(value, path, out) {
  if (value !== null && typeof value === "object") {
    for (const key of Object.keys(value)) flatten(value[key], path ? path + "." + key : key, out);
  } else {
    out.push([path || "value", String(value)]);
  }
  return out;
}

function show(status) {
  rows.replaceChildren(...flatten(status, "", []).map(([name, value]) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    const cell = document.createElement("td");
    head.scope = "row";
    head.textContent = name;
    cell.textContent = value;
    row.append(head, cell);
    return row;
  }));
}

async function ask() {
  try {
    const answer = await fetch("/api/status");
    if (!answer.ok) throw new Error("status " + answer.status);
    show(await answer.json());
    state.textContent = "As of " + new Date().toLocaleTimeString() + ".";
  } catch (error) {
    state.textContent = "No answer from stripecast (" + error.message + "); what is below is old.";
  }
  setTimeout(ask, 1000);
}
ask();
