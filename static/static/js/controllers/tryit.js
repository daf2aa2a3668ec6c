/* The try-it form calls the inference process with a short-lived token and shows the answer, or why there is none. */
"use strict";
mercato.controller("tryit", (form) => {
  const TOKEN_MS = 14 * 60 * 1000;
  const [raw, output, problem] = ["body", "output", "problem"].map((name) => form.querySelector(`[data-${name}]`));
  const run = form.querySelector("[data-run]");
  const classes = JSON.parse(form.dataset.classes);
  let token = null;
  let issued = 0;
  let pending = "";
  run.hidden = false;

  const refuse = (text) => {
    problem.hidden = !text;
    problem.querySelector("[data-text]").textContent = text;
    if (text) output.hidden = true;
  };
  // said by the fields: what is in the body is not what stands in them
  form.addEventListener("mercato:problem", (event) => {
    pending = event.detail;
    refuse(pending);
  });

  const newToken = async () => {
    const answer = await fetch(form.dataset.token, { method: "POST", headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value } });
    if (!answer.ok) throw new Error("You may not call this endpoint any more, or you are no longer signed in. Load the page again to see which.");
    issued = performance.now();
    return (await answer.json()).token;
  };
  const call = async () => {
    if (!token || performance.now() - issued > TOKEN_MS) token = await newToken();
    // a new token is known to the inference process within a second
    for (let attempt = 0; ; attempt += 1) {
      const started = performance.now();
      const answer = await fetch(form.action, { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: raw.value });
      if (answer.status !== 401 || attempt === 8) return [answer, performance.now() - started];
      await new Promise((wake) => setTimeout(wake, 300));
    }
  };

  const row = (label, value) => {
    const line = document.createElement("tr");
    line.append(Object.assign(document.createElement("th"), { scope: "row", textContent: label }), Object.assign(document.createElement("td"), { className: "num", textContent: value }));
    return line;
  };
  const show = (body, milliseconds) => {
    const table = output.querySelector("tbody");
    table.replaceChildren();
    for (const tensor of body.outputs ?? []) {
      const names = classes[tensor.name];
      const flat = tensor.data.flat(Infinity);
      const pairs = flat.slice(0, 50).map((value, i) => [names?.[i] ?? (flat.length > 1 ? `${tensor.name}[${i}]` : tensor.name), value]);
      if (names) pairs.sort((a, b) => b[1] - a[1]);
      table.append(...pairs.map(([label, value]) => row(label, typeof value === "number" ? Number(value.toPrecision(4)) : String(value))));
    }
    output.querySelector("[data-note]").textContent = `Answered in ${milliseconds.toFixed(0)} ms, the way there and back included.`;
    output.querySelector("pre").textContent = JSON.stringify(body, null, 2);
    output.hidden = false;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (pending) return refuse(pending);
    run.disabled = true;
    refuse("");
    try {
      const [answer, milliseconds] = await call();
      const body = await answer.json().catch(() => ({}));
      if (answer.ok) show(body, milliseconds);
      else refuse(body.error ?? `The call was refused (${answer.status}).`);
    } catch (error) {
      // fetch itself fails with a TypeError when nobody answers
      refuse(error instanceof TypeError ? "The inference process does not answer. Try again in a moment." : error.message);
    } finally {
      run.disabled = false;
    }
  });
});
