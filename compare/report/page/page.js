"use strict";
(function () {
  var picked = "";
  function show() {
    document.body.classList.toggle("picked", picked !== "");
    document.querySelectorAll(".series").forEach(function (g) {
      g.classList.toggle("on", g.dataset.series === picked);
    });
    document.querySelectorAll(".legend button").forEach(function (b) {
      b.setAttribute("aria-pressed", String(b.dataset.series === picked));
    });
  }
  document.addEventListener("click", function (e) {
    var b = e.target.closest(".legend button");
    if (!b) return;
    picked = picked === b.dataset.series ? "" : b.dataset.series;
    show();
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (d) { d.open = true; });
  });
})();
