# Made by docs/generate.py: what `jaxformers/__init__.py` loads lazily, for editors and type checkers.
from .auto import AutoConfig as AutoConfig
from .auto import AutoModel as AutoModel
from .auto import AutoModelForMaskedLM as AutoModelForMaskedLM
from .auto import AutoModelForMultipleChoice as AutoModelForMultipleChoice
from .auto import AutoModelForNextSentencePrediction as AutoModelForNextSentencePrediction
from .auto import AutoModelForPreTraining as AutoModelForPreTraining
from .auto import AutoModelForQuestionAnswering as AutoModelForQuestionAnswering
from .auto import AutoModelForSequenceClassification as AutoModelForSequenceClassification
from .auto import AutoModelForTokenClassification as AutoModelForTokenClassification
from .auto import AutoTokenizer as AutoTokenizer
from .bundle import Model as Model
from .config import Config as Config
from .models.bert import BertConfig as BertConfig
from .models.bert import BertForMaskedLM as BertForMaskedLM
from .models.bert import BertForMultipleChoice as BertForMultipleChoice
from .models.bert import BertForNextSentencePrediction as BertForNextSentencePrediction
from .models.bert import BertForPreTraining as BertForPreTraining
from .models.bert import BertForQuestionAnswering as BertForQuestionAnswering
from .models.bert import BertForSequenceClassification as BertForSequenceClassification
from .models.bert import BertForTokenClassification as BertForTokenClassification
from .models.bert import BertModel as BertModel
from .models.distilbert import DistilBertConfig as DistilBertConfig
from .models.distilbert import DistilBertForMaskedLM as DistilBertForMaskedLM
from .models.distilbert import DistilBertForMultipleChoice as DistilBertForMultipleChoice
from .models.distilbert import DistilBertForQuestionAnswering as DistilBertForQuestionAnswering
from .models.distilbert import DistilBertForSequenceClassification as DistilBertForSequenceClassification
from .models.distilbert import DistilBertForTokenClassification as DistilBertForTokenClassification
from .models.distilbert import DistilBertModel as DistilBertModel
from .models.roberta import RobertaConfig as RobertaConfig
from .models.roberta import RobertaForMaskedLM as RobertaForMaskedLM
from .models.roberta import RobertaForMultipleChoice as RobertaForMultipleChoice
from .models.roberta import RobertaForQuestionAnswering as RobertaForQuestionAnswering
from .models.roberta import RobertaForSequenceClassification as RobertaForSequenceClassification
from .models.roberta import RobertaForTokenClassification as RobertaForTokenClassification
from .models.roberta import RobertaModel as RobertaModel
from .pipelines import Pipeline as Pipeline
from .pipelines import pipeline as pipeline
from .runtime import compilations as compilations
from .runtime import forbid as forbid
from .tokenizers import BatchEncoding as BatchEncoding
from .tokenizers import BertTokenizer as BertTokenizer
from .tokenizers import BertTokenizerFast as BertTokenizerFast
from .tokenizers import DistilBertTokenizer as DistilBertTokenizer
from .tokenizers import DistilBertTokenizerFast as DistilBertTokenizerFast
from .tokenizers import Tokenizer as Tokenizer

__version__: str
CamembertConfig = RobertaConfig
CamembertForMaskedLM = RobertaForMaskedLM
CamembertForMultipleChoice = RobertaForMultipleChoice
CamembertForQuestionAnswering = RobertaForQuestionAnswering
CamembertForSequenceClassification = RobertaForSequenceClassification
CamembertForTokenClassification = RobertaForTokenClassification
CamembertModel = RobertaModel
Data2VecTextConfig = RobertaConfig
Data2VecTextForMaskedLM = RobertaForMaskedLM
Data2VecTextForMultipleChoice = RobertaForMultipleChoice
Data2VecTextForQuestionAnswering = RobertaForQuestionAnswering
Data2VecTextForSequenceClassification = RobertaForSequenceClassification
Data2VecTextForTokenClassification = RobertaForTokenClassification
Data2VecTextModel = RobertaModel
XLMRobertaConfig = RobertaConfig
XLMRobertaForMaskedLM = RobertaForMaskedLM
XLMRobertaForMultipleChoice = RobertaForMultipleChoice
XLMRobertaForQuestionAnswering = RobertaForQuestionAnswering
XLMRobertaForSequenceClassification = RobertaForSequenceClassification
XLMRobertaForTokenClassification = RobertaForTokenClassification
XLMRobertaModel = RobertaModel
