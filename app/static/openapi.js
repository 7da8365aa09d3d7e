// Show the OpenAPI document with Swagger UI, which has its dark colours under a class.

const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

const place = document.getElementById("openapi");
SwaggerUIBundle({
  url: place.dataset.url,
  domNode: place,
  deepLinking: true,
  displayRequestDuration: true,
  syntaxHighlight: { activated: false },
  validatorUrl: null, // it would send the document to another host
});
