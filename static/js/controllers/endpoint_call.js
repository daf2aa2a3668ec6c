/* Calls of the inference process from a page: with a token that is fetched when it is needed, and patience while a model is loaded. */
"use strict";
mercato.caller = (form) => {
  const TOKEN_MS = 14 * 60 * 1000;
  const PATIENCE_MS = 60 * 1000;
  let token = null;
  let issued = 0;

  const newToken = async () => {
    const answer = await fetch(form.dataset.token, { method: "POST", headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value } });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.error ?? "You may not call this endpoint any more, or you are no longer signed in. Load the page again to see which.");
    issued = performance.now();
    return said.token;
  };
  const wait = (ms) => new Promise((wake) => setTimeout(wake, ms));
  return async (body) => {
    if (!token || performance.now() - issued > TOKEN_MS) token = await newToken();
    const began = performance.now();
    let isNew = false;
    for (let attempt = 0; ; attempt += 1) {
      const started = performance.now();
      const answer = await fetch(form.action, { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body });
      const took = performance.now() - started;
      const pause = Number(answer.headers.get("retry-after")) * 1000;
      if (answer.status === 503 && pause && performance.now() - began < PATIENCE_MS) {
        // it is being deployed
        await wait(pause);
      } else if ([403, 404].includes(answer.status) && !isNew) {
        // the day's free calls end at midnight: those of the next day are opened with the next token
        token = await newToken();
        isNew = true;
      } else if (answer.status !== 401 || attempt > 8) return [answer, took];
      // a new token is known to the inference process within a second
      else await wait(300);
    }
  };
};

/* what the server says of its own time: "load;dur=812.0, compute;dur=2.1" */
mercato.callTime = (answer, milliseconds) => {
  const part = (name) => Number(answer.headers.get("server-timing")?.match(new RegExp(`${name};dur=([\\d.]+)`))?.[1] ?? NaN);
  const [load, compute] = [part("load"), part("compute")];
  const ms = (value) => (value < 10 ? value.toFixed(1) : value.toFixed(0));
  const said = [`Answered in ${ms(milliseconds)} ms, the way there and back included`];
  if (compute >= 0) said.push(`; the model computed for ${ms(compute)} ms`);
  if (load >= 0) said.push(`. This was a cold start: loading the model took ${ms(load)} ms, the next call is quicker`);
  return `${said.join("")}.`;
};
