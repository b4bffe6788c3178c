/** Words for synthetic prompts: common and short, so that in most vocabularies each is one token. */
export const WORDS: readonly string[] =
  "time year people way day man thing woman life child world school state family student group country problem hand part place case week company system program question work number night point home water room mother area money story fact month lot right study book eye job word business issue side kind head house service friend father power hour game line end member law car city name team minute idea body back parent face level office door health person art war history party result change morning reason research girl guy moment air teacher force order light music tree river stone green small large early young old good new first last long great little own other high different next few public bad same able".split(
    " ",
  );
