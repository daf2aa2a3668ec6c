/* A sound as samples, decoded and resampled by the browser and written as the model takes them. */
"use strict";
mercato.controller("try-audio", (box) => {
  const { name, datatype, shape, audio } = JSON.parse(box.dataset.plan);
  const { sample_rate: rate, channels, samples } = audio;
  const MOST = 4_000_000;
  const send = (detail) => box.dispatchEvent(new CustomEvent("mercato:tensors", { bubbles: true, detail: { source: name, ...detail } }));
  const note = box.querySelector("[data-note]");
  const canvas = box.querySelector("canvas");
  const whole = { INT16: 32767, INT32: 2147483647 }[datatype];
  const toNumber = (value) => (whole ? Math.round(Math.max(-1, Math.min(1, value)) * whole) : Number(value.toPrecision(6)));

  const show = (line) => {
    const [wide, high] = [480, 64];
    [canvas.width, canvas.height] = [wide, high];
    const pen = canvas.getContext("2d");
    pen.fillStyle = mercato.colour("--accent");
    const step = Math.max(1, line.length / wide);
    for (let x = 0; x < wide && x * step < line.length; x += 1) {
      let top = 0;
      for (let at = Math.floor(x * step); at < Math.min(line.length, (x + 1) * step); at += 1) top = Math.max(top, Math.abs(line[at]));
      pen.fillRect(x, high / 2 - (top * high) / 2, 1, Math.max(1, top * high));
    }
    canvas.hidden = false;
  };
  box.querySelector("input").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    let sound;
    try {
      // a context of the wanted rate resamples while it decodes
      sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(await file.arrayBuffer());
    } catch {
      return send({ problem: "This file is not a sound that the browser can read. Choose a WAV file." });
    }
    const found = Array.from({ length: sound.numberOfChannels }, (_, c) => sound.getChannelData(c));
    const mixed = channels === 1 ? [found[0].map((_, at) => found.reduce((sum, line) => sum + line[at], 0) / found.length)] : [found[0], found[1] ?? found[0]];
    const length = samples || sound.length;
    if (length * channels > MOST) return send({ problem: `The sound is too long: at most ${Math.floor(MOST / channels / rate)} seconds fit into a call from here.` });
    const data = mixed.flatMap((line) => Array.from({ length }, (_, at) => toNumber(line[at] ?? 0)));
    show(mixed[0].subarray(0, length));
    const fitted = length === sound.length ? "" : length < sound.length ? `, cut to ${(length / rate).toPrecision(3)} s` : `, filled up with silence to ${(length / rate).toPrecision(3)} s`;
    note.textContent = `${sound.duration.toPrecision(3)} s${fitted}: ${length.toLocaleString("en")} samples.`;
    send({ tensors: [{ name, datatype, shape: [[length], [1, length], [1, channels, length]][shape.length - 1], data }] });
  });
});
