/* A <details> menu closes by Escape, by a click elsewhere and when the focus leaves it. */
"use strict";
mercato.controller("menu", (menu) => {
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
});
/* A row of links that scrolls sideways begins at the one that is current. */
mercato.controller("row", (row) => {
  const current = row.querySelector("[aria-current]");
  if (current) row.scrollLeft = current.offsetLeft - row.offsetLeft - (row.clientWidth - current.offsetWidth) / 2;
});
mercato.controller("narrow", (facets) => {
  if (matchMedia("(max-width: 860px)").matches) facets.open = false;
});
