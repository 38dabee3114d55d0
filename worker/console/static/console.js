// Live sections, dialogs, keys, theme; all works without it. The stream sends `sections` ({id: html}), `tick` ({key: words}), `over`.
// A dialog comes from `data-dialog`; its forms go to `action` and, while typed, to `data-check`; `data-poll` is fetched until it is gone.
'use strict';
const page = document, root = page.documentElement, LOST_MS = 4000, UNKNOWN_MS = 15000;
const policy = window.trustedTypes?.createPolicy('sms', {createHTML: (html) => html});
const $ = (selector, within = page) => within.querySelector(selector);
const $$ = (selector, within = page) => [...within.querySelectorAll(selector)];
const parsed = (html) => dress(new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, 'text/html').body);
const say = (text, where = '#polite') => $$(where).forEach((each) => { each.textContent = text; });
const sent = (form, button) => ({method: 'post', body: new URLSearchParams(new FormData(form, button))});
const ask = (address, how) => fetch(address, {...how, headers: {'X-Fragment': '1'}}).catch(() => ({status: 503}));
const renew = (form = $('[data-again] form[data-check]')) => { if (form) typed = setTimeout(typing, 1000, form); }; // nobody answered
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
let words = {}, heard = performance.now(), lost = false, turn = 0, typed = 0, pressed = '', source = null, tell = hear, lead = null;
Object.assign(root.dataset, {keys: localStorage.keys || 'on', theme: localStorage.theme || ''});
function dress(within) { // times in the reader's zone, words of the last tick
  for (const each of $$('[data-time]', within)) {
    const at = new Date(each.dataset.time), day = at.toDateString(), {as} = each.dataset;
    const date = as === 'day' && day !== new Date().toDateString() ? `${at.getDate()} ${day.slice(4, 7)} ` : '';
    each.textContent = date + at.toTimeString().slice(0, as === 'seconds' ? 8 : 5);
  }
  for (const each of $$('[data-age]', within)) each.textContent = words[each.dataset.age] ?? each.textContent;
  return within;
}
function morph(old, now) { // keeps the nodes, so that focus, selection and what is open stay
  if (old.nodeType === Node.TEXT_NODE) { if (old.data !== now.data) old.data = now.data; return; }
  for (const name of old.getAttributeNames()) if (!now.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
  for (const {name, value} of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const stay = new Set([...now.children].map((each) => each.id));
  for (const each of [...old.children]) if (!stay.has(each.id)) each.remove();
  let place = old.firstChild;
  for (const next of [...now.childNodes]) {
    if (place?.nodeName !== next.nodeName || place.id !== next.id) { old.insertBefore(next, place); continue; }
    morph(place, next);
    place = place.nextSibling;
  }
  while (place) { const gone = place; place = place.nextSibling; gone.remove(); }
}
function hear(kind, data) {
  const before = new Set($$('#summary li').map((each) => each.textContent));
  heard = performance.now();
  if (kind === 'over') logout();
  if (kind === 'tick') { words = data; dress(page); }
  if (kind === 'sections') for (const [id, html] of Object.entries(data)) if (page.getElementById(id)) morph(page.getElementById(id), parsed(html).firstElementChild);
  for (const each of $$('#summary li')) if (!before.has(each.textContent)) say(each.textContent, each.dataset.where);
}
function watch() { // each second: does the console still talk to us?
  const silent = performance.now() - heard, gone = silent > LOST_MS, {title} = $('#summary').dataset;
  if (gone !== lost) say(gone ? 'Console lost' : 'Live again', '#loud');
  if (gone && !lost && !source && !page.hidden) lead?.(true); // the browser froze the tab that leads
  if (source?.readyState === EventSource.CLOSED) connect();
  lost = gone;
  root.dataset.lost = gone ? (silent > UNKNOWN_MS ? 'long' : 'yes') : '';
  say(gone ? `○ Console lost for ${Math.floor(silent / 1000)} s` : '', '#lost');
  for (const each of $$(gone ? 'main [data-dialog]:enabled' : '[data-off]')) each.disabled = each.toggleAttribute('data-off');
  page.title = gone ? title.replace('%', '% ?') : title;
}
function logout() { // the page stays, with what was typed
  if ('over' in root.dataset) return;
  root.dataset.over = '';
  for (const where of ['#over', '#dialog']) $(where).append(...parsed($('#ended').innerHTML).childNodes);
  say(new Date().toTimeString().slice(0, 5), '[data-ended]');
  say($('#over').textContent, '#loud');
}
function connect() {
  source = new EventSource(`${page.body.dataset.base}/events`);
  for (const kind of ['sections', 'tick', 'over']) source.addEventListener(kind, ({data}) => tell(kind, JSON.parse(data)));
  source.onerror = async ({target}) => { // it comes back by itself; where it does not, `watch` opens it again
    if (target.readyState === EventSource.CLOSED && (await ask(`${page.body.dataset.base}/session`)).status === 401) tell('over', {});
  };
}
function listen() { // one stream for all tabs, of the one opened last: a browser opens six connections to a host
  const end = () => { source?.close(); source = null; };
  const turned = () => { end(); if (!page.hidden) connect(); };
  if (!navigator.locks) { page.addEventListener('visibilitychange', turned); return turned(); } // plain http
  const channel = new BroadcastChannel(`sms ${page.body.dataset.session}`);
  channel.onmessage = ({data: [kind, data]}) => source || hear(kind, data);
  tell = (kind, data) => { hear(kind, data); channel.postMessage([kind, data]); };
  lead = (steal) => navigator.locks.request(channel.name, {steal}, () => new Promise(connect))
    .catch(() => { end(); lead(false); }); // another tab leads now
  lead(true);
}
function fill(html, keep = false) {
  const dialog = $('#dialog'), now = parsed(html).firstElementChild, mine = turn, poll = now?.dataset.poll;
  if (!now) return dialog.close();
  if (keep && dialog.firstElementChild) morph(dialog.firstElementChild, now); else dialog.replaceChildren(now);
  if (!dialog.open) dialog.showModal(); else if (!keep || !poll) ($('[autofocus]', dialog) ?? $('h2', dialog))?.focus();
  if (!keep) for (const each of $$('[data-guard]:enabled', dialog)) { each.disabled = true; pause(500).then(() => { each.disabled = false; }); }
  if (poll) pause(300).then(() => mine === turn && bring(poll, {}, true));
  sessionStorage.poll = poll || ''; renew(); // a reload finds the poll again
}
async function bring(address, how = {}, keep = false) { // tries until the console answers
  const dialog = $('#dialog'), mine = ++turn, from = how.body || keep ? dialog.dataset.from : address;
  for (; mine === turn; await pause(1000)) {
    const answer = await ask(address, how);
    if (mine !== turn || answer.status === 401) return mine === turn && logout();
    if (answer.status < 500) {
      dialog.dataset.from = from;
      fill(await answer.text(), keep);
      if (how.body) return sessionStorage.removeItem(from);
      return keep || JSON.parse(sessionStorage[from] || '[]').forEach(([id, value]) => { if (page.getElementById(id)) page.getElementById(id).value = value; });
    }
    if (!dialog.open) fill($('#away').innerHTML);
    say('The console does not answer. What you typed stays; it is tried again each second.', '#dialog [role=status]');
  }
}
const does = {
  theme: () => { root.dataset.theme = localStorage.theme = getComputedStyle(root).getPropertyValue('--other').trim(); },
  keys: () => { root.dataset.keys = localStorage.keys = root.dataset.keys === 'off' ? 'on' : 'off'; },
  menu: (button) => button.setAttribute('aria-expanded', page.body.classList.toggle('open')),
  help: () => fill($('#keys').innerHTML, false, ++turn),
  close: () => $('#dialog').close(),
};
function press(event) { // a key of the page; `g` is followed by another
  const key = pressed === 'g' ? `g ${event.key}` : event.key, button = $$('[data-key]:enabled, a[data-key]').find((each) => each.dataset.key === key);
  const busy = event.ctrlKey || event.altKey || event.metaKey || $('#dialog').open || event.target.closest('input,textarea,select');
  pressed = event.key;
  if (button && !busy && root.dataset.keys === 'on') { event.preventDefault(); button.click(); }
}
function typing(form) { // is kept, and what it leads to is shown
  const fields = [...form.elements].filter((each) => each.id && !/hidden|tel|password/.test(each.type)).map((each) => [each.id, each.value]);
  if (form.closest('dialog')) sessionStorage[$('#dialog').dataset.from] = JSON.stringify(fields);
  clearTimeout(typed);
  if (form.dataset.check) typed = setTimeout(async () => {
    const answer = await ask(form.dataset.check, sent(form));
    if (answer.status < 400 && form.isConnected) morph(form.closest('article'), parsed(await answer.text()).firstElementChild);
    renew();
  }, 300);
}
page.addEventListener('DOMContentLoaded', () => {
  const dialog = $('#dialog');
  dress(page);
  if (!dialog) return; // the log-in
  say(Intl.DateTimeFormat().resolvedOptions().timeZone, '[data-zone]');
  page.addEventListener('click', (event) => {
    const button = event.target.closest('[data-do],[data-dialog]');
    if (!button || 'over' in root.dataset || (button.dataset.do === 'close' && !dialog.open)) return;
    event.preventDefault();
    if (button.dataset.do) does[button.dataset.do](button); else bring(button.dataset.dialog, button.form?.method === 'post' ? sent(button.form, button) : {});
  });
  page.addEventListener('keydown', press);
  page.addEventListener('input', ({target: {form}}) => form && typing(form));
  dialog.addEventListener('submit', (event) => {
    if (event.target.method === 'post') { event.preventDefault(); bring(event.target.action, sent(event.target, event.submitter)); }
  });
  dialog.addEventListener('close', () => { turn++; for (const each of ['poll', dialog.dataset.from]) sessionStorage.removeItem(each); });
  if (sessionStorage.poll) bring(sessionStorage.poll);
  listen(setInterval(watch, 1000));
});
