/* A live log keeps its end in view as long as the reader is at the end. */
"use strict";
mercato.controller("live", (box) => {
  let follows = true;
  box.addEventListener("scroll", () => { follows = box.scrollHeight - box.scrollTop - box.clientHeight < 24; });
  const toEnd = () => { if (follows) box.scrollTop = box.scrollHeight; };
  toEnd();
  new MutationObserver(toEnd).observe(box, { childList: true, subtree: true, characterData: true });
});
