"use strict";
// Puts the sections that the server sends into the page.
const policy = window.trustedTypes
  ? window.trustedTypes.createPolicy("sms", { createHTML: (html) => html })
  : { createHTML: (html) => html };
const source = new EventSource(`${document.body.dataset.base}/events`);
source.addEventListener("sections", (event) => {
  for (const [id, html] of Object.entries(JSON.parse(event.data))) {
    document.getElementById(id).innerHTML = policy.createHTML(html);
  }
});
source.addEventListener("over", () => source.close());
