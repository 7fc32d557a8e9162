// Has a real browser load a page, from its server or out of a HAR file alone, and writes what became
// of it as JSON: `node page.js URL FOLDER [HAR]`, FOLDER being a new one for the browser's profile.
"use strict";

const { chromium } = require("playwright-core");

const ARGUMENTS = [
  "--no-sandbox", // the tests run as root
  "--disable-gpu",
  "--no-first-run",
  // Nothing but what the page asks for.
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
];

async function main([url, profile, har]) {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium",
    headless: true,
    args: ARGUMENTS,
    serviceWorkers: "block", // what they ask for is not routed
  });
  try {
    if (har) await context.routeFromHAR(har, { notFound: "abort" });
    const page = context.pages()[0] ?? (await context.newPage());
    const failed = [];
    page.on("requestfailed", (request) => {
      // Out of a file, a redirected navigation is broken off and begun again; others fail `goto`.
      if (!request.isNavigationRequest()) failed.push(request.url());
    });
    page.on("pageerror", (error) => failed.push(String(error)));
    await page.goto(url);
    // Set by the page's own script when it has done all that it does.
    await page.waitForFunction(() => document.body.dataset.done === "yes");
    const seen = await page.evaluate(() => ({
      url: location.href,
      title: document.title,
      text: document.body.innerText,
      color: getComputedStyle(document.querySelector("h1")).color,
      image: [document.images[0].naturalWidth, document.images[0].naturalHeight],
    }));
    console.log(JSON.stringify({ ...seen, failed }));
  } finally {
    await context.close();
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
