/* The try-it form calls the inference process with a short-lived token and shows the answer, or why there is none. */
"use strict";
mercato.controller("tryit", (form) => {
  const [raw, output, problem, waiting, plans, left] = ["body", "output", "problem", "waiting", "plans", "left"].map((name) => form.querySelector(`[data-${name}]`));
  const run = form.querySelector("[data-run]");
  let pending = "";
  const call = mercato.caller(form);
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

  const counted = () => {
    if (!left) return;
    const rest = Math.max(0, Number(left.textContent) - 1);
    left.textContent = rest;
    if (rest) return;
    run.disabled = true;
    plans.hidden = false;
    form.querySelector("[data-next]").textContent = "needs a plan";
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (pending) return refuse(pending);
    run.disabled = true;
    refuse("");
    const patience = setTimeout(() => (waiting.hidden = false), 1200);
    try {
      const [answer, milliseconds] = await call(raw.value);
      const body = await answer.json().catch(() => ({}));
      run.disabled = false;
      if (answer.ok) {
        output.querySelector("[data-note]").textContent = mercato.callTime(answer, milliseconds);
        output.dispatchEvent(new CustomEvent("mercato:answer", { detail: body }));
        output.hidden = false;
        counted();
      } else {
        if (answer.status === 402 && plans) plans.hidden = false;
        refuse(body.error ?? `The call was refused (${answer.status}).`);
      }
    } catch (error) {
      run.disabled = false;
      // fetch itself fails with a TypeError when nobody answers
      refuse(error instanceof TypeError ? "The inference process does not answer. Try again in a moment." : error.message);
    } finally {
      clearTimeout(patience);
      waiting.hidden = true;
    }
  });
});
